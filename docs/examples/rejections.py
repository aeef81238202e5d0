#!/usr/bin/python3
"""Who was refused, why, by which limit, and when to come back; against docs/protocol.md alone.

Usage: rejections.py RUN_DIR [FROM]     (FROM: the first rejection_id, default 1)
"""
import sys
import time

import msgpack
import zmq

run_dir, following = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
control = zmq.Context().socket(zmq.REQ)
control.linger, control.rcvtimeo = 0, 5000  # ms
control.connect(f"ipc://{run_dir}/control")


def clock(at):
    return f"{time.strftime('%H:%M:%S', time.gmtime(at // 10**9))}.{at % 10**9 // 10**6:03}"


def show(number, at, _after, reason, detail, source, sequence, count, _type, _subject, policy, key, wait, _evidence):
    why = detail or f"policy {policy}, key {key}: " + (f"come back in {wait / 1e9:.3f} s" if wait else "never fits")
    many = f" ({count} events)" if count > 1 else ""
    print(f"{number:>3}  {clock(at)}  {reason:<12}  {source or '-':<15}  {sequence or '-':>8}  {why}{many}")


print(f"{'id':>3}  {'time':<12}  {'reason':<12}  {'source':<15}  sequence  why")
while True:
    control.send(msgpack.packb([1, "replay", "rejected", following, 1000]))
    reply, *body = control.recv_multipart()
    _, verdict, *rest = msgpack.unpackb(reply)
    if verdict != "ok":
        sys.exit(": ".join(rest))
    _log_id, _first, count, _last = rest
    if count == 0:
        break
    records = msgpack.Unpacker(max_buffer_size=0, unicode_errors="backslashreplace")
    records.feed(body[0])
    for record in records:
        show(*record)
        following = record[0] + 1
