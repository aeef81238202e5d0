#!/usr/bin/python3
"""A producer against docs/protocol.md alone: submits COUNT orders and hears the verdict on each.

Usage: producer.py RUN_DIR SOURCE COUNT
"""
import sys
import time

import msgpack
import zmq

run_dir, source, total = sys.argv[1], sys.argv[2], int(sys.argv[3])
context = zmq.Context()


def connect(kind, name):
    socket = context.socket(kind)
    socket.linger = 0
    socket.connect(f"ipc://{run_dir}/{name}")
    return socket


acks = connect(zmq.SUB, "events")
acks.subscribe(f"ack/{source}/")
control = connect(zmq.REQ, "control")
control.send(msgpack.packb([1, "hello", source]))
_, _, log_id, epoch, done = msgpack.unpackb(control.recv())
ingest = connect(zmq.PUSH, "ingest")

order = lambda n: [time.time_ns(), "order.created", f"order-{n}", 1, {"status": "pending"}]
first, last, refused, sent = done + 1, done + total, [], done
while done < last:
    if sent == done:  # a window of 1,000: the next, or what was lost on the way once more
        batch = range(done + 1, min(done + 1000, last) + 1)
        header = [1, source, epoch, batch[0], len(batch)]
        ingest.send(b"".join(map(msgpack.packb, [header, *map(order, batch)])))
        sent = batch[-1]
    if not acks.poll(1000):  # quiet: resend what is not acknowledged
        sent = done
        continue
    _, log, name, _, begin, end, status, refusals = msgpack.unpackb(acks.recv_multipart()[1])
    if name != source:
        continue
    if status in ("fenced", "forgotten") or log != log_id:
        sys.exit(f"stopped: {status}")
    if status == "ok" and begin <= done + 1 and end > done:
        refused += [refusal for refusal in refusals if refusal[0] > done]
        done, sent = end, max(sent, end)
    elif status == "gap":
        sent = done
print(f"{total - len(refused)} accepted, {len(refused)} refused, sequences {first} to {last}")
