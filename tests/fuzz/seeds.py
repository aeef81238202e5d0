"""Writes the fuzzers' first inputs: seeds.py FOLDER. Good messages, which the fuzzers then spoil."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from weir import event, pack, submission  # noqa: E402

LOG_ID = bytes(range(16))
RICH = event(
    type="order.paid", subject="é-1", occurred_at=2**63 - 1, schema_version=3,
    data={"a": [1, -1, 2.5, None, True], "b": {"c": {"d": "é"}}, "amount": 300}, attributes={"id": "x"},
)
POLICY = b'[policy "p"]\nmatch = *\nkey = subject\nquota = 9\nwindow = 60s\n'
SEEDS = {
    "submission": [submission("s", 1, 1, [event(), RICH]), submission("tills/1", 2**40, 0, [RICH] * 3)],
    "decide": [
        submission("s", 1, 1, [event(data={"k": key, "n": n, "a": {"b": key}}) for n, key in enumerate(["x", -1, 7, 2**63, "x"] * 4)]),
        submission("s", 1, 1, [event(data={"k": "x", "n": 9}), event(data={"n": 1}), [1], event()]) + b"\x91",
    ],
    "event": [
        pack(event()), pack(RICH), pack(event(subject="b.c.d", data=RICH[4])),
        pack(event(data={f"key {i}": [i] * i for i in range(20)})),
    ],
    "request": [
        pack([1, "hello", "s"]), pack([1, "replay", "accepted", 1, 10]), pack([1, "seek", "rejected", 2**60]),
        pack([1, "status"]), pack([1, "policy", "set", "text"]), pack([1, "explain", "p", 7, 2**60]),
        pack([1, "views"]), pack([1, "view", "limits", ["time", 5]]), pack([1, "ok", LOG_ID, 3, 4]),
        pack([1, "ok", LOG_ID, 1, 2, 3]), pack([1, "error", "gone", "1"]),
    ],
    "feed": [
        pack([1, LOG_ID, 1, 2, 3]), pack([1, LOG_ID, "s", 1, 1, 9, "ok", [[2, "rate_limited", "p", 5], [3, None, None, None]]]),
        pack([7, 8, "s", 9, RICH], [8, 8, "s", 10, event()]),
        pack([1, 2, 3, "invalid", "why", "s", 4, 1, "a.b", "x", "p", "k", None, RICH],
             [2, 2, 3, "malformed", None, None, None, 5, None, None, None, None, None, b"\xc1"]),
    ],
    "snapshot": [
        b"\0\0\0\0\0\0\0",
        b"\5\2\x64\x64\7" + bytes([len(POLICY)]) + POLICY
        + b"\2\1s\1\5\x80\x08\0\2t2\3\2\0\1\6\0\0\0\0\0\0\0\xff\7\0"  # sources
        + b"\x05\x03\0\2\1a\x05\0\1b\x0a\7\3\0",  # entries, keys
    ],
    "policy": [
        b'[policy "a"]\nmatch = order.*\nkey = data.a.b\nquota = 5\nwindow = 60s\ncost = data.n\nmode = shadow\n',
        b'"per-source";q=100;w=60;pk=source;match=a.*;cost=data.x;mode=shadow;max_keys=9;max_units=9',
    ],
    "json": [
        b'{"specversion":"1.0","id":"1","source":"s","type":"a.b","subject":"x","time":"2026-01-02T03:04:05.678Z",'
        b'"data":{"a":[1,2.5,null,true,"\\u00e9"],"b":{"c":-1}},"schemaversion":2,"traceparent":"00"}',
    ],
}

for name, seeds in SEEDS.items():
    folder = Path(sys.argv[1]) / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (folder / f"seed-{number}").write_bytes(seed)
