#include "common/upload/upload.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/array.h"
#include "common/base/hash.h"

static const char magic[] = "weir-upload 1";
enum { HEX_DIGITS_64 = 16, HEX_DIGITS_32 = 8, ITEM_BYTES_MAX = 256 };

void upload_init(struct upload *upload)
{
    memset(upload, 0, sizeof *upload);
    hash_seed_random(&upload->seed);
    table_init(&upload->table, UPLOAD_SOURCES_MAX);
}

void upload_fini(struct upload *upload)
{
    free(upload->sources);
    table_fini(&upload->table);
    upload_init(upload);
}

static bool is_named(const void *upload, uint32_t index, struct slice name)
{
    return slice_equal_text(name, ((const struct upload *)upload)->sources[index].name);
}

static uint64_t name_hash(const struct upload *upload, struct slice name)
{
    return hash_keyed(&upload->seed, name.data, name.size);
}

uint32_t upload_find(const struct upload *upload, struct slice name)
{
    uint32_t index = table_find(&upload->table, name_hash(upload, name), name, is_named, upload);
    return index == TABLE_NONE ? UPLOAD_SOURCES_MAX : index;
}

static enum status sources_reach(struct upload *upload)
{
    struct upload_source *sources = array_reach(upload->sources, &upload->source_capacity,
                                                upload->source_count, sizeof *sources);
    if (sources == NULL)
        return STATUS_NO_MEMORY;
    upload->sources = sources;
    return STATUS_OK;
}

enum status upload_add(struct upload *upload, struct slice name, uint64_t base, uint32_t *ret_index)
{
    assert(name.size >= 1 && name.size <= EVENT_SOURCE_BYTES_MAX);
    if (upload->source_count == UPLOAD_SOURCES_MAX)
        return STATUS_FULL;
    enum status status = sources_reach(upload);
    if (status == STATUS_OK)
        status = table_insert(&upload->table, name_hash(upload, name), upload->source_count);
    if (status != STATUS_OK)
        return status;
    struct upload_source *source = &upload->sources[upload->source_count];
    *source = (struct upload_source){.base = base};
    memcpy(source->name, name.data, name.size);
    *ret_index = upload->source_count++;
    return STATUS_OK;
}

uint64_t upload_sequence(const struct upload_source *source)
{
    return source->base + source->events_read;
}

void upload_mark(struct upload *upload, const struct upload_prefix *prefix)
{
    upload->marked = *prefix;
    upload->is_marked = true;
    for (uint32_t i = 0; i < upload->source_count; i++)
        upload->sources[i].events_marked = upload->sources[i].events_read;
}

void upload_save_mark(struct upload *upload)
{
    assert(upload->is_marked);
    upload->saved = upload->marked;
    upload->is_marked = false;
    for (uint32_t i = 0; i < upload->source_count; i++)
        upload->sources[i].events_saved = upload->sources[i].events_marked;
}

/* Writing. */

static void add_path(struct buffer *buffer, const char *path)
{
    for (const char *c = path; *c != '\0'; c++) {
        char escaped[4];
        bool plain = *c >= '!' && *c <= '~' && *c != '%';
        if (plain)
            buffer_append(buffer, c, 1);
        else if (snprintf(escaped, sizeof escaped, "%%%02X", (unsigned)(unsigned char)*c) > 0)
            buffer_append_text(buffer, escaped);
    }
}

static void add_source(struct buffer *buffer, const struct upload_source *source)
{
    char item[ITEM_BYTES_MAX];
    snprintf(item, sizeof item, "source %llu %llu %s\n", (unsigned long long)source->base,
             (unsigned long long)source->events_saved, source->name);
    buffer_append_text(buffer, item);
}

void upload_record_write(struct buffer *buffer, const struct upload *upload)
{
    size_t first = buffer->size;
    char item[ITEM_BYTES_MAX];
    buffer_append_text(buffer, magic);
    buffer_append_text(buffer, "\nlog ");
    for (unsigned i = 0; i < LOG_ID_BYTES; i++) {
        snprintf(item, sizeof item, "%02x", upload->log_id.bytes[i]);
        buffer_append_text(buffer, item);
    }
    buffer_append_text(buffer, "\nfile ");
    add_path(buffer, upload->path);
    snprintf(item, sizeof item, "\nprefix %llu %016llx %llu\n",
             (unsigned long long)upload->saved.bytes, (unsigned long long)upload->saved.hash,
             (unsigned long long)upload->saved.lines);
    buffer_append_text(buffer, item);
    for (uint32_t i = 0; i < upload->source_count; i++)
        add_source(buffer, &upload->sources[i]);
    if (buffer->status != STATUS_OK)
        return;
    uint32_t crc = crc32c(0, buffer->data + first, buffer->size - first);
    snprintf(item, sizeof item, "crc %08x\n", crc);
    buffer_append_text(buffer, item);
}

/* Reading. Each function takes something off the front of `text` and says whether it was there. */

static bool take_until(struct slice *text, char end, struct slice *ret_part)
{
    const uint8_t *at = text->size > 0 ? memchr(text->data, end, text->size) : NULL;
    if (at == NULL)
        return false;
    *ret_part = (struct slice){text->data, (size_t)(at - text->data)};
    text->size -= ret_part->size + 1;
    text->data = at + 1;
    return true;
}

static bool take_text(struct slice *text, const char *expected)
{
    size_t size = strlen(expected);
    if (text->size < size || memcmp(text->data, expected, size) != 0)
        return false;
    text->data += size;
    text->size -= size;
    return true;
}

static bool read_number(struct slice digits, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits.size; i++) {
        unsigned digit = digits.data[i] - (unsigned)'0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *ret_value = value;
    return digits.size > 0;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool read_hex(struct slice digits, size_t size, uint64_t *ret_value)
{
    if (digits.size != size)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        int digit = hex_digit(digits.data[i]);
        if (digit < 0)
            return false;
        value = value << 4 | (unsigned)digit;
    }
    *ret_value = value;
    return true;
}

static bool take_number(struct slice *text, char end, uint64_t *ret_value)
{
    struct slice digits;
    return take_until(text, end, &digits) && read_number(digits, ret_value);
}

static bool take_log_id(struct slice *text, struct log_id *ret_log_id)
{
    struct slice digits;
    if (!take_text(text, "log ") || !take_until(text, '\n', &digits))
        return false;
    if (digits.size != (size_t)2 * LOG_ID_BYTES)
        return false;
    for (size_t i = 0; i < LOG_ID_BYTES; i++) {
        uint64_t byte;
        if (!read_hex((struct slice){digits.data + 2 * i, 2}, 2, &byte))
            return false;
        ret_log_id->bytes[i] = (uint8_t)byte;
    }
    return true;
}

static bool take_path(struct slice *text, char ret_path[UPLOAD_PATH_BYTES_MAX])
{
    struct slice escaped;
    if (!take_text(text, "file ") || !take_until(text, '\n', &escaped))
        return false;
    size_t size = 0;
    for (size_t i = 0; i < escaped.size; i++) {
        uint64_t byte = escaped.data[i];
        if (byte == '%') {
            if (i + 2 >= escaped.size ||
                !read_hex((struct slice){escaped.data + i + 1, 2}, 2, &byte))
                return false;
            i += 2;
        }
        if (size + 1 >= UPLOAD_PATH_BYTES_MAX)
            return false;
        ret_path[size++] = (char)byte;
    }
    ret_path[size] = '\0';
    return true;
}

static bool take_prefix(struct slice *text, struct upload_prefix *ret_prefix)
{
    struct slice hash;
    return take_text(text, "prefix ") && take_number(text, ' ', &ret_prefix->bytes) &&
           take_until(text, ' ', &hash) && read_hex(hash, HEX_DIGITS_64, &ret_prefix->hash) &&
           take_number(text, '\n', &ret_prefix->lines);
}

static bool take_source(struct slice *text, struct upload *upload)
{
    uint64_t base, events;
    struct slice name;
    if (!take_number(text, ' ', &base) || !take_number(text, ' ', &events) ||
        !take_until(text, '\n', &name))
        return false;
    uint32_t index;
    bool good = events <= UINT64_MAX - base && event_source_check(name, NULL) == STATUS_OK &&
                upload_find(upload, name) == UPLOAD_SOURCES_MAX;
    if (!good || upload_add(upload, name, base, &index) != STATUS_OK)
        return false;
    struct upload_source *source = &upload->sources[index];
    source->events_saved = source->events_marked = source->events_read = events;
    return true;
}

static bool take_all(struct slice *text, struct upload *upload)
{
    const uint8_t *first = text->data;
    if (!take_text(text, magic) || !take_text(text, "\n") || !take_log_id(text, &upload->log_id) ||
        !take_path(text, upload->path) || !take_prefix(text, &upload->saved))
        return false;
    while (take_text(text, "source "))
        if (!take_source(text, upload))
            return false;
    uint32_t crc = crc32c(0, first, (size_t)(text->data - first));
    struct slice digits;
    uint64_t expected;
    return take_text(text, "crc ") && take_until(text, '\n', &digits) &&
           read_hex(digits, HEX_DIGITS_32, &expected) && expected == crc && text->size == 0;
}

enum status upload_record_read(struct slice text, struct upload *upload, struct detail *ret_detail)
{
    assert(upload->source_count == 0);
    size_t whole = text.size;
    if (!take_all(&text, upload))
        return detail_set(ret_detail, STATUS_DAMAGED, "not a whole upload record, near byte %zu",
                          whole - text.size);
    return STATUS_OK;
}
