#!/usr/bin/python3
"""What a processor says of itself, as JSON; against docs/protocol.md alone.

Usage: status.py RUN_DIR [MEMBER …]     (only these members)
"""
import json
import sys

import msgpack
import zmq

run_dir, members = sys.argv[1], sys.argv[2:]
control = zmq.Context().socket(zmq.REQ)
control.linger, control.rcvtimeo = 0, 5000  # ms
control.connect(f"ipc://{run_dir}/control")
control.send(msgpack.packb([1, "status"]))
_, verdict, status = msgpack.unpackb(control.recv())
print(json.dumps({name: status[name] for name in members or status}, indent=2, default=bytes.hex))
