"""The messages of docs/protocol.md in Python: records, events and submissions, through msgpack alone."""

import collections
import json

import msgpack

Accepted = collections.namedtuple("Accepted", "event_id accepted_at source sequence event")
Rejected = collections.namedtuple(
    "Rejected",
    "rejection_id rejected_at after_event_id reason detail source sequence count type subject"
    " policy key retry_after evidence",
)
Ack = collections.namedtuple(
    "Ack", "log_id source epoch first_sequence last_sequence status refusals"
)
Hello = collections.namedtuple("Hello", "log_id epoch last_sequence")


def pack(*items):
    """MessagePack values one after another."""
    return b"".join(msgpack.packb(item, use_bin_type=True) for item in items)


def unpack_all(body):
    unpacker = msgpack.Unpacker(
        raw=False, strict_map_key=False, unicode_errors="surrogateescape", max_buffer_size=2**31 - 1
    )
    unpacker.feed(body)
    return list(unpacker)


def unpack(frame):
    items = unpack_all(frame)
    assert len(items) == 1, f"{len(items)} values in one frame"
    return items[0]


def event(type="order.created", subject="s", data=None, occurred_at=1, schema_version=1, attributes=None):
    items = [occurred_at, type, subject, schema_version, {} if data is None else data]
    return items if attributes is None else items + [attributes]


LINE_SUBJECTS = 97


def write_lines(path, sources, number, padding=0):
    """A JSON Lines file: `number` orders, the sources in turn. The nth order of a source says so."""
    with open(path, "w") as file:
        for line in range(number):
            source = sources[line % len(sources)]
            order = line // len(sources) + 1
            file.write(json.dumps({
                "specversion": "1.0", "source": source, "type": "order.created", "subject": f"s-{line % LINE_SUBJECTS}",
                "data": {"order": order, "status": "pending", "padding": "x" * padding},
            }) + "\n")


def submission(source, epoch, first_sequence, events):
    return pack([1, source, epoch, first_sequence, len(events)], *events)
