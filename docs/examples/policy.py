#!/usr/bin/python3
"""The policies in force, shown or changed while events flow; against docs/protocol.md alone.

Usage: policy.py RUN_DIR [FILE|-]     (without a file: shows them)
"""
import sys

import msgpack
import zmq

run_dir, files = sys.argv[1], sys.argv[2:]
request = [1, "policy", "get"]
if files:
    request = [1, "policy", "set", sys.stdin.read() if files[0] == "-" else open(files[0]).read()]
control = zmq.Context().socket(zmq.REQ)
control.linger, control.rcvtimeo = 0, 60000  # ms: a month's window is read from the log first
control.connect(f"ipc://{run_dir}/control")
control.send(msgpack.packb(request))
_, verdict, *reply = msgpack.unpackb(control.recv())
if verdict != "ok":
    sys.exit(f"{reply[0]}: {reply[1]}")
print(reply[0], end="")
