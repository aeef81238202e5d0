#!/usr/bin/python3
"""A reactor against docs/protocol.md alone: answers each order.created with a payment.requested.

Usage: reactor.py RUN_DIR SOURCE [COUNT]        (ends after COUNT verdicts on reactions)

It submits while it handles events, yet neither waits for the other: the nth order has sequence n, so
the log's last sequence says where a restarted reactor goes on and a resend never counts twice; and
when too much is unacknowledged it lets events pass and replays them later.
"""
import collections
import sys

import msgpack
import zmq

WINDOW = 1000  # reactions on the way
run_dir, source = sys.argv[1], sys.argv[2]
count = int(sys.argv[3]) if len(sys.argv) > 3 else None
context = zmq.Context()


def connect(kind, name, *topics):
    socket = context.socket(kind)
    socket.linger = 0
    for topic in topics:
        socket.subscribe(topic)
    socket.connect(f"ipc://{run_dir}/{name}")
    return socket


events = connect(zmq.SUB, "events", "accepted", "heartbeat", f"ack/{source}/")
control, ingest = connect(zmq.REQ, "control"), connect(zmq.PUSH, "ingest")
control.send(msgpack.packb([1, "hello", source]))
_, _, log_id, epoch, done = msgpack.unpackb(control.recv())  # done: the last sequence with a verdict
seen = orders = 0  # events folded, orders among them
pending = collections.deque()  # reactions without a verdict; the first has sequence done + 1
heard = True  # an ack came since the last heartbeat


def submit(sequence, reaction):
    ingest.send(msgpack.packb([1, source, epoch, sequence, 1]) + reaction)


def resend():
    for place, reaction in enumerate(pending):
        submit(done + 1 + place, reaction)


def handle(event_id, accepted_at, event):
    global orders
    if event[1] == "order.created":
        orders += 1
        if orders > done + len(pending):
            data = {"order": event[2], "event_id": event_id}
            pending.append(msgpack.packb([accepted_at, "payment.requested", event[2], 1, data]))
            submit(orders, pending[-1])


def fold(body):
    global seen
    unpacker = msgpack.Unpacker(max_buffer_size=0)
    unpacker.feed(body)
    for event_id, accepted_at, _, _, event in unpacker:
        if event_id == seen + 1 and len(pending) < WINDOW:
            seen = event_id
            handle(event_id, accepted_at, event)


def hear(_, log, name, _epoch, first, last, status, _refusals):
    global done, heard
    heard = True
    if name == source and (status in ("fenced", "forgotten") or log != log_id):
        sys.exit(f"stopped: {status}")
    if name == source and status == "gap":
        resend()
    elif name == source and first <= done + 1:
        for _ in range(min(last - done, len(pending))):
            pending.popleft()
            done += 1


while count is None or done < count:
    topic, header, *body = events.recv_multipart()
    header = msgpack.unpackb(header)
    if topic.startswith(b"ack/"):
        hear(*header)
    elif topic == b"heartbeat" and pending and not heard:
        resend()  # submissions or acks were lost
    elif topic == b"accepted" and header[2] <= seen + 1:
        fold(body[0])
    elif seen < header[2] and len(pending) < WINDOW:  # a hole, or a heartbeat ahead of us
        control.send(msgpack.packb([1, "replay", "accepted", seen + 1, 10000]))
        fold(control.recv_multipart()[1])
    heard = heard and topic != b"heartbeat"
print(f"{done} reactions")
