#!/usr/bin/python3
"""A projector against docs/protocol.md alone: counts orders by status and ends at event LAST.

Usage: projector.py RUN_DIR LAST
"""
import collections
import sys

import msgpack
import zmq

run_dir, last = sys.argv[1], int(sys.argv[2])
context = zmq.Context()
events = context.socket(zmq.SUB)
events.subscribe("accepted")
events.subscribe("heartbeat")
events.connect(f"ipc://{run_dir}/events")
control = context.socket(zmq.REQ)
control.connect(f"ipc://{run_dir}/control")

seen = 0  # id of the last event folded
counts = collections.Counter()


def fold(body):
    global seen
    unpacker = msgpack.Unpacker(max_buffer_size=0)
    unpacker.feed(body)
    for event_id, _, _, _, event in unpacker:
        if seen < event_id <= last:
            seen = event_id
            if event[1].startswith("order."):
                counts[event[4].get("status", "unknown")] += 1


def replay():
    control.send(msgpack.packb([1, "replay", "accepted", seen + 1, 10000]))
    reply, body = control.recv_multipart()
    assert msgpack.unpackb(reply)[1] == "ok"
    fold(body)


while seen < last:
    topic, header, *body = events.recv_multipart()
    _, _, first_id, *_ = msgpack.unpackb(header)
    if topic == b"accepted" and first_id <= seen + 1:
        fold(body[0])
    elif seen < first_id:  # a hole, or a heartbeat (its third element is the last id) ahead of us
        replay()
context.destroy(linger=0)
for status, count in sorted(counts.items()):
    print(f"{status} {count}")
