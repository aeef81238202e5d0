#include "processor/store/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/hash.h"
#include "processor/store/little_endian.h"

/* Offsets of the header's fields, little-endian (docs/log-format.md). */
enum {
    AT_MAGIC = 0,
    AT_VERSION = 8,
    AT_LAST_CRC = 12,
    AT_SALT = 16,
    AT_NUMBER = 24,
    AT_WRITE_FIRST = 32,
    AT_NEXT_EVENT_ID = 40,
    AT_NEXT_REJECTION_ID = 48,
    AT_LAST_TIME = 56,
    AT_STATE_DIGEST = 64,
    AT_SEGMENT = 72,
    AT_OFFSET = 80,
    AT_LOG_ID = 88,
    AT_RESERVED = 104,
    AT_HEADER_CRC = 124,
    BLOCK_HEADER_BYTES = 8,
};
#define SNAPSHOT_SUFFIX ".snap"

static const uint8_t magic[8] = {0x89, 'W', 'S', 'N', 'P', '\r', '\n', 0x1a};

static void snapshot_name(uint64_t number, char ret_name[FILE_NAME_BYTES_MAX])
{
    (void)snprintf(ret_name, FILE_NAME_BYTES_MAX, "%020" PRIu64 SNAPSHOT_SUFFIX, number);
}

/* ---- the folder ---- */

enum status snapshot_list_read(struct segment_list *list, const char *directory,
                               struct detail *ret_detail)
{
    struct folder folder = {.fd = -1};
    enum status status = folder_open(&folder, directory, SNAPSHOT_FOLDER, false, ret_detail);
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (status == STATUS_OK)
        status = numbered_list_read(list, &folder, SNAPSHOT_SUFFIX, ret_detail);
    folder_close(&folder);
    return status;
}

enum status snapshot_remove(const char *directory, uint64_t number, struct detail *ret_detail)
{
    struct folder folder = {.fd = -1};
    char name[FILE_NAME_BYTES_MAX];
    snapshot_name(number, name);
    enum status status = folder_open(&folder, directory, SNAPSHOT_FOLDER, false, ret_detail);
    if (status == STATUS_OK && unlinkat(folder.fd, name, 0) != 0 && errno != ENOENT)
        status = detail_set(ret_detail, STATUS_IO, "%s/%s: cannot remove: %s", folder.path, name,
                            strerror(errno));
    folder_close(&folder);
    return status;
}

/* ---- the header ---- */

static uint32_t header_put(const struct snapshot_header *header, uint8_t *bytes)
{
    const struct batch_chain *chain = &header->start.chain;
    memset(bytes, 0, SNAPSHOT_HEADER_BYTES);
    memcpy(bytes + AT_MAGIC, magic, sizeof magic);
    put_le(bytes + AT_VERSION, SNAPSHOT_FORMAT_VERSION, 2);
    put_le(bytes + AT_LAST_CRC, chain->last_crc, 4);
    put_le(bytes + AT_SALT, chain->salt, 8);
    put_le(bytes + AT_NUMBER, chain->next_number, 8);
    put_le(bytes + AT_WRITE_FIRST, chain->write_first, 8);
    put_le(bytes + AT_NEXT_EVENT_ID, chain->next_event_id, 8);
    put_le(bytes + AT_NEXT_REJECTION_ID, chain->next_rejection_id, 8);
    put_le(bytes + AT_LAST_TIME, chain->last_time_ns, 8);
    put_le(bytes + AT_STATE_DIGEST, chain->state_digest, 8);
    put_le(bytes + AT_SEGMENT, header->start.segment, 8);
    put_le(bytes + AT_OFFSET, header->start.offset, 8);
    memcpy(bytes + AT_LOG_ID, header->log_id.bytes, LOG_ID_BYTES);
    const uint32_t crc = crc32c(0, bytes, AT_HEADER_CRC);
    put_le(bytes + AT_HEADER_CRC, crc, 4);
    return crc;
}

static void header_get(const uint8_t *bytes, struct snapshot_header *ret_header)
{
    *ret_header = (struct snapshot_header){
        .start = {.segment = get_le(bytes + AT_SEGMENT, 8),
                  .offset = get_le(bytes + AT_OFFSET, 8),
                  .chain = {.next_number = get_le(bytes + AT_NUMBER, 8),
                            .next_event_id = get_le(bytes + AT_NEXT_EVENT_ID, 8),
                            .next_rejection_id = get_le(bytes + AT_NEXT_REJECTION_ID, 8),
                            .last_time_ns = get_le(bytes + AT_LAST_TIME, 8),
                            .salt = get_le(bytes + AT_SALT, 8),
                            .write_first = get_le(bytes + AT_WRITE_FIRST, 8),
                            .state_digest = get_le(bytes + AT_STATE_DIGEST, 8),
                            .last_crc = (uint32_t)get_le(bytes + AT_LAST_CRC, 4)}}};
    memcpy(ret_header->log_id.bytes, bytes + AT_LOG_ID, LOG_ID_BYTES);
}

/* ---- writing ---- */

struct snapshot_writer {
    struct folder folder;
    struct file file;
    uint64_t number;
    uint64_t offset; /* where the next block goes */
    uint32_t crc;    /* of the block before */
    bool finished;
};

enum status snapshot_put(void *context, struct slice bytes, struct detail *ret_detail)
{
    struct snapshot_writer *writer = context;
    uint8_t head[BLOCK_HEADER_BYTES];
    writer->crc = crc32c(writer->crc, bytes.data, bytes.size);
    put_le(head, bytes.size, 4);
    put_le(head + 4, writer->crc, 4);
    struct iovec parts[2] = {{.iov_base = head, .iov_len = sizeof head},
                             {.iov_base = (void *)(uintptr_t)bytes.data, .iov_len = bytes.size}};
    const enum status status =
        file_write_parts(&writer->file, writer->offset, parts, bytes.size > 0 ? 2 : 1, ret_detail);
    writer->offset += sizeof head + bytes.size;
    return status;
}

static enum status begin(struct snapshot_writer *writer, const char *directory,
                         const struct snapshot_header *header, struct slice genesis,
                         struct detail *ret_detail)
{
    uint8_t bytes[SNAPSHOT_HEADER_BYTES];
    enum status status = folder_open(&writer->folder, directory, SNAPSHOT_FOLDER, true, ret_detail);
    if (status == STATUS_OK)
        status = file_open(&writer->file, &writer->folder, SNAPSHOT_TEMP_NAME,
                           O_RDWR | O_CREAT | O_TRUNC, ret_detail);
    writer->crc = header_put(header, bytes);
    if (status == STATUS_OK)
        status = file_write(&writer->file, 0, bytes, sizeof bytes, ret_detail);
    writer->offset = sizeof bytes;
    return status == STATUS_OK ? snapshot_put(writer, genesis, ret_detail) : status;
}

enum status snapshot_writer_new(const char *directory, const struct snapshot_header *header,
                                struct slice genesis, struct snapshot_writer **ret_writer,
                                struct detail *ret_detail)
{
    struct snapshot_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory to write a snapshot");
    writer->folder.fd = writer->file.fd = -1;
    writer->number = header->start.chain.next_number;
    const enum status status = begin(writer, directory, header, genesis, ret_detail);
    if (status != STATUS_OK)
        snapshot_writer_destroy(&writer);
    else
        *ret_writer = writer;
    return status;
}

enum status snapshot_finish(struct snapshot_writer *writer, uint64_t *ret_bytes,
                            struct detail *ret_detail)
{
    char name[FILE_NAME_BYTES_MAX];
    snapshot_name(writer->number, name);
    enum status status = snapshot_put(writer, (struct slice){0}, ret_detail);
    if (status == STATUS_OK)
        status = file_sync(&writer->file, ret_detail);
    if (status == STATUS_OK)
        status = file_rename(&writer->file, name, ret_detail);
    if (status != STATUS_OK)
        return status;
    writer->finished = true;
    *ret_bytes = writer->offset;
    return STATUS_OK;
}

void snapshot_writer_destroy(struct snapshot_writer **writer)
{
    struct snapshot_writer *self = *writer;
    if (self == NULL)
        return;
    if (!self->finished && self->file.fd >= 0)
        (void)unlinkat(self->folder.fd, SNAPSHOT_TEMP_NAME, 0);
    file_close(&self->file);
    folder_close(&self->folder);
    free(self);
    *writer = NULL;
}

/* ---- reading ---- */

struct snapshot_reader {
    struct folder folder;
    struct file file;
    struct snapshot_header header;
    uint64_t offset; /* of the next block */
    uint32_t crc;    /* of the block before */
    uint8_t block[SNAPSHOT_BLOCK_BYTES_MAX];
};

static enum status header_read(struct snapshot_reader *reader, uint64_t number,
                               struct detail *ret_detail)
{
    uint8_t bytes[SNAPSHOT_HEADER_BYTES];
    if (reader->file.bytes < sizeof bytes)
        return file_damaged(&reader->file, 0, ret_detail, "the file was cut short");
    const enum status status = file_read(&reader->file, 0, bytes, sizeof bytes, ret_detail);
    if (status != STATUS_OK)
        return status;
    reader->crc = crc32c(0, bytes, AT_HEADER_CRC);
    if (memcmp(bytes, magic, sizeof magic) != 0 || reader->crc != get_le(bytes + AT_HEADER_CRC, 4))
        return file_damaged(&reader->file, 0, ret_detail, "the header fails its checksum");
    if (get_le(bytes + AT_VERSION, 2) != SNAPSHOT_FORMAT_VERSION ||
        !bytes_are_zero(bytes + AT_RESERVED, AT_HEADER_CRC - AT_RESERVED))
        return file_damaged(&reader->file, 0, ret_detail, "a format that this program cannot read");
    header_get(bytes, &reader->header);
    if (reader->header.start.chain.next_number != number || number == 0)
        return file_damaged(&reader->file, 0, ret_detail, "it has the name of another");
    reader->offset = sizeof bytes;
    return STATUS_OK;
}

enum status snapshot_reader_new(const char *directory, uint64_t number,
                                struct snapshot_reader **ret_reader, struct detail *ret_detail)
{
    char name[FILE_NAME_BYTES_MAX];
    struct snapshot_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory to read a snapshot");
    reader->folder.fd = reader->file.fd = -1;
    snapshot_name(number, name);
    enum status status =
        folder_open(&reader->folder, directory, SNAPSHOT_FOLDER, false, ret_detail);
    if (status == STATUS_OK)
        status = file_open(&reader->file, &reader->folder, name, O_RDONLY, ret_detail);
    if (status == STATUS_OK)
        status = header_read(reader, number, ret_detail);
    if (status != STATUS_OK)
        snapshot_reader_destroy(&reader);
    else
        *ret_reader = reader;
    return status;
}

void snapshot_reader_destroy(struct snapshot_reader **reader)
{
    if (*reader == NULL)
        return;
    file_close(&(*reader)->file);
    folder_close(&(*reader)->folder);
    free(*reader);
    *reader = NULL;
}

const struct snapshot_header *snapshot_header(const struct snapshot_reader *reader)
{
    return &reader->header;
}

uint64_t snapshot_bytes(const struct snapshot_reader *reader)
{
    return reader->file.bytes;
}

enum status snapshot_take(void *context, struct slice *ret_bytes, struct detail *ret_detail)
{
    struct snapshot_reader *reader = context;
    const struct file *file = &reader->file;
    uint8_t head[BLOCK_HEADER_BYTES];
    if (file->bytes - reader->offset < sizeof head)
        return file_damaged(file, reader->offset, ret_detail, "the file was cut short");
    enum status status = file_read(file, reader->offset, head, sizeof head, ret_detail);
    if (status != STATUS_OK)
        return status;
    const uint64_t size = get_le(head, 4), behind = reader->offset + sizeof head;
    if (size > SNAPSHOT_BLOCK_BYTES_MAX || size > file->bytes - behind)
        return file_damaged(file, reader->offset, ret_detail, "a block of %" PRIu64 " bytes", size);
    status = file_read(file, behind, reader->block, (size_t)size, ret_detail);
    if (status != STATUS_OK)
        return status;
    const uint32_t crc = crc32c(reader->crc, reader->block, (size_t)size);
    if (crc != get_le(head + 4, 4))
        return file_damaged(file, reader->offset, ret_detail, "a block fails its checksum");
    if (size == 0 && behind != file->bytes)
        return file_damaged(file, behind, ret_detail, "bytes behind the end");
    if (size == 0)
        return STATUS_END;
    reader->crc = crc;
    reader->offset = behind + size;
    *ret_bytes = (struct slice){reader->block, (size_t)size};
    return STATUS_OK;
}
