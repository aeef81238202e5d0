#!/usr/bin/python3
"""The golden bytes of every message, read and written by Python's own msgpack.

tests/golden/KIND.hex holds one message per line: a name and its bytes. The C tests write and read
the same files, so that two independent implementations agree on every byte. The files are never
regenerated: bytes that change are a change of the protocol.
"""

import unittest
from pathlib import Path

import msgpack

GOLDEN = Path(__file__).resolve().parents[1] / "golden"

LOG_ID = bytes(range(16))
OTHER_LOG_ID = bytes([0xFF] * 16)
UINT64_MAX = 2**64 - 1
TIME = 1_700_000_000_000_000_000
WIDE_SOURCE = "s" * 128

CREATED = [TIME, "order.created", "order-1", 1, {"status": "new", "amount": 1250}]
TRACED = [TIME + 1, "user.login", "Zoë", 65535, {}, {"traceparent": "00-ab-cd-01"}]

# kind → name → the MessagePack values of the frame or record, one after another
EXPECTED = {
    "submission": {
        "sequenced": [[1, "shop/eu-1", 3, 17, 2], CREATED, TRACED],
        "unsequenced": [[1, "cli", 0, 0, 1], CREATED],
        "widest_header": [[1, WIDE_SOURCE, UINT64_MAX, UINT64_MAX - 16383, 16384]],
    },
    "accepted": {
        "first": [[1, TIME + 5, "shop/eu-1", 17, CREATED]],
        "unsequenced": [[200, TIME + 6, "cli", 0, TRACED]],
        "widest": [[UINT64_MAX, UINT64_MAX, WIDE_SOURCE, UINT64_MAX, CREATED]],
    },
    "rejected": {
        "rate_limited": [
            [1, TIME + 7, 200, "rate_limited", "order-1 is over quota", "shop/eu-1", 18, 1, "order.created",
             "order-1", "per-subject", "order-1", 59_999_999_999, CREATED],
        ],
        "never_fits": [
            [2, TIME + 7, 200, "rate_limited", None, "shop/eu-1", 19, 1, "order.created",
             "order-1", "per-shop", -7, None, CREATED],
        ],
        "malformed": [
            [3, TIME + 8, 200, "malformed", "byte 1 is no MessagePack", "shop/eu-1", 20, 40, None,
             None, None, None, None, b"\x95\xc1\x00"],
        ],
        "bad_header": [
            [4, TIME + 8, 200, "invalid", "version 2 is not 1", None, None, 1, None,
             None, None, None, None, b"\x95\x02"],
        ],
        "summary": [
            [300, TIME + 9, 70000, "rate_limited", None, "shop/eu-1", None, 123456, None,
             None, "per-subject", 42, None, None],
        ],
        "shadow": [
            [301, TIME + 9, 70000, "shadow", None, "shop/eu-1", 60, 1, "user.login",
             "Zoë", "trial", "global", 1, TRACED],
        ],
    },
    "header": {
        "first_batch": [[1, LOG_ID, 1, 2, TIME + 10]],
        "later_batch": [[1, OTHER_LOG_ID, 5_000_000_000, 16384, TIME + 11]],
    },
    "heartbeat": {
        "empty_log": [[1, LOG_ID, 0, 0, TIME]],
        "busy_log": [[1, OTHER_LOG_ID, UINT64_MAX, 65536, TIME + 12]],
    },
    "ack": {
        "accepted": [[1, LOG_ID, "shop/eu-1", 3, 17, 48, "ok", []]],
        "some_refused": [
            [1, LOG_ID, "shop/eu-1", 3, 49, 60, "ok",
             [[50, "rate_limited", "per-subject", 59_999_999_999], [51, "rate_limited", "per-shop", None],
              [60, "invalid", None, None]]],
        ],
        "resent": [[1, LOG_ID, "shop/eu-1", 3, 50, 50, "ok", [[50, None, None, None]]]],
        "gap": [[1, LOG_ID, "shop/eu-1", 3, 61, 60, "gap", []]],
        "fenced": [[1, LOG_ID, "shop/eu-1", 4, 61, 60, "fenced", []]],
        "forgotten": [[1, LOG_ID, WIDE_SOURCE, UINT64_MAX, 1, 2, "forgotten", []]],
    },
    "request": {
        "hello": [[1, "hello", "shop/eu-1"]],
        "replay_accepted": [[1, "replay", "accepted", 1, 10000]],
        "replay_rejected": [[1, "replay", "rejected", 70000, 1]],
        "seek": [[1, "seek", "accepted", TIME]],
        "status": [[1, "status"]],
        "policy_get": [[1, "policy", "get"]],
        "policy_set": [[1, "policy", "set", "[policy \"a\"]\nquota = 1\nwindow = 1s\n"]],
        "explain": [[1, "explain", "per-subject", "order-1"]],
        "explain_at_time": [[1, "explain", "per-shop", -7, TIME]],
        "views": [[1, "views"]],
        "view_now": [[1, "view", "limits", None]],
        "view_at_event": [[1, "view", "limits", 1234]],
        "view_at_time": [[1, "view", "limits", ["time", TIME]]],
    },
    "reply": {
        "hello": [[1, "ok", LOG_ID, 4, 60]],
        "replay": [[1, "ok", LOG_ID, 1, 200, 70000]],
        "error": [[1, "error", "gone", "the first event kept is 1000"]],
    },
}


def read_golden(kind):
    lines = (GOLDEN / f"{kind}.hex").read_text(encoding="ascii").splitlines()
    pairs = (line.split() for line in lines if line and not line.startswith("#"))
    return {name: bytes.fromhex(digits) for name, digits in pairs}


def decode(frame):
    unpacker = msgpack.Unpacker(raw=False)
    unpacker.feed(frame)
    return list(unpacker)


def encode(values):
    return b"".join(msgpack.packb(value, use_bin_type=True) for value in values)


class GoldenBytes(unittest.TestCase):
    def test_every_file_and_every_message_in_it_is_known_here(self):
        files = {path.stem for path in GOLDEN.glob("*.hex")}
        self.assertEqual(files, set(EXPECTED))
        for kind, messages in EXPECTED.items():
            self.assertEqual(set(read_golden(kind)), set(messages), kind)

    def test_python_reads_each_message_field_by_field(self):
        for kind, messages in EXPECTED.items():
            golden = read_golden(kind)
            for name, values in messages.items():
                with self.subTest(kind=kind, name=name):
                    self.assertEqual(decode(golden[name]), values)

    def test_python_writes_the_same_bytes(self):
        for kind, messages in EXPECTED.items():
            golden = read_golden(kind)
            for name, values in messages.items():
                with self.subTest(kind=kind, name=name):
                    self.assertEqual(encode(values).hex(), golden[name].hex())


if __name__ == "__main__":
    unittest.main()
