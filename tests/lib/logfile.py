"""The log on disk, from docs/log-format.md alone: reads the batches of a store, and writes them back
with valid checksums, so that a test can forge what no processor would write.
"""

import struct
from dataclasses import dataclass, replace
from pathlib import Path

import weir

MAGIC = b"\x89WEIR\r\n\x1a"
HEADER_BYTES = 128
FIELDS = "<HHIQQQQQQQIIIIIIQ"  # from offset 8 on; docs/log-format.md, "A batch"
FIELDS_BYTES = struct.calcsize(FIELDS)
CRC_OFFSET = 124
GENESIS, ORDINARY = 1, 2


def crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC_TABLE = crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


@dataclass(frozen=True)
class Batch:
    """One batch. What depends on its bytes and its place (sizes, checksums) is made when it is
    written; `rest` is what stands behind the named fields of the header, as it was read."""

    version: int
    kind: int
    salt: int
    number: int
    write_first: int
    first_event_id: int
    first_rejection_id: int
    first_time: int
    last_time: int
    event_count: int
    rejection_count: int
    segment_bytes: int
    rest: bytes
    sources: bytes
    accepted: bytes
    rejected: bytes

    def records(self):
        return [weir.Accepted(*record) for record in weir.unpack_all(self.accepted)]

    def rejections(self):
        return [weir.Rejected(*record) for record in weir.unpack_all(self.rejected)]

    def with_records(self, records):
        """The same batch with these accepted records, counted anew."""
        return replace(self, accepted=weir.pack(*map(list, records)), event_count=len(records))

    def with_rejections(self, rejections):
        return replace(self, rejected=weir.pack(*map(list, rejections)), rejection_count=len(rejections))

    def with_sources(self, records):
        return replace(self, sources=weir.pack(*records))

    def source_records(self):
        return weir.unpack_all(self.sources)

    def encode(self, previous_crc):
        payload = self.sources + self.accepted + self.rejected
        head = MAGIC + struct.pack(
            FIELDS, self.version, self.kind, previous_crc, self.salt, self.number, self.write_first,
            self.first_event_id, self.first_rejection_id, self.first_time, self.last_time,
            self.event_count, self.rejection_count, len(self.sources), len(self.accepted),
            len(self.rejected), crc32c(payload), self.segment_bytes,
        ) + self.rest
        crc = crc32c(head)
        encoded = head + struct.pack("<I", crc) + payload
        return encoded + bytes(-len(encoded) % 8), crc


def decode(data, at):
    """The batch at an offset and where it ends; None at the end of the segment."""
    if data[at : at + 8] != MAGIC:
        return None, at
    (version, kind, _, salt, number, write_first, event, rejection, first, last, events, rejections,
     sources, accepted, rejected, _, size) = struct.unpack_from(FIELDS, data, at + 8)
    rest = bytes(data[at + 8 + FIELDS_BYTES : at + CRC_OFFSET])
    start = at + HEADER_BYTES
    end = start + sources + accepted + rejected
    batch = Batch(
        version, kind, salt, number, write_first, event, rejection, first, last, events, rejections, size,
        rest, bytes(data[start : start + sources]), bytes(data[start + sources : start + sources + accepted]),
        bytes(data[start + sources + accepted : end]),
    )
    return batch, (end + 7) // 8 * 8


def segments(store):
    return sorted(Path(store).glob("log/[0-9]*.seg"))


def read(store):
    """All batches of a store, in order."""
    batches = []
    for path in segments(store):
        data, at = path.read_bytes(), 0
        while at + HEADER_BYTES <= len(data):
            batch, at = decode(data, at)
            if batch is None:
                break
            batches.append(batch)
    return batches


def records(store):
    """(accepted, rejected) of a whole store."""
    batches = read(store)
    return (
        [record for batch in batches for record in batch.records()],
        [record for batch in batches for record in batch.rejections()],
    )


def write(store, batches):
    """A store of one segment that holds these batches, chained with valid checksums."""
    folder = Path(store) / "log"
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.seg"):
        path.unlink()
    data, crc = b"", 0
    for batch in batches:
        encoded, crc = batch.encode(crc)
        data += encoded
    size = batches[0].segment_bytes
    with open(folder / f"{batches[0].number:020}.seg", "wb") as file:
        file.write(data)
        file.truncate(size)
