"""Bad bytes: each hostile submission and request gets exactly the reason and sequence use that the
table in docs/protocol.md states, good neighbours are unaffected, and memory does not grow.

WEIR_BAD: bad submissions of the memory test (default 100,000).  WEIR_SEED: of its random bytes.
"""

import math
import random
import struct
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402
from weir import event, pack  # noqa: E402

POLICY = """
[policy "account"]
match = pay.*
key = data.account
cost = data.amount
quota = 10
window = 1h
max_keys = 8

[policy "few-keys"]
match = rare.*
key = subject
quota = 10
window = 1h
max_keys = 2
"""

GOOD = pack(event())
NAN = b"\xcb" + struct.pack(">d", math.nan)
RSS_GROWTH_MAX = 16 * 1024 * 1024


def text(size_bytes, letter="a"):
    return letter * size_bytes


def raw_event(type=pack("a.b"), subject=pack("s"), occurred_at=pack(1), version=pack(1), data=pack({}), more=b"", arity=5):
    """An event whose parts are given as bytes."""
    return bytes([0x90 | arity]) + occurred_at + type + subject + version + data + more


def with_data(value):
    """An event whose data has one member of the given bytes."""
    return raw_event(data=b"\x81" + pack("x") + value)


def with_text(value):
    """The bytes of a str that Python would not write."""
    return bytes([0xA0 | len(value)]) + value


def nested(depth, kind):
    """An item `depth` containers deep."""
    opening = {"map": b"\x81" + pack("k"), "array": b"\x91"}[kind]
    return opening * depth + pack(1)


# Frames that do not get as far as an event: (name, frames of (source, epoch, first), reason).
def broken_frames():
    def frame(*parts):
        return lambda *_: [b"".join(parts)]

    def header(**changes):
        """A good header but for the named field, with one good event behind it."""

        def build(source, epoch, first):
            fields = dict(version=1, source=source, epoch=epoch, first=first, count=1)
            fields.update(changes)
            return [pack(list(fields.values())) + GOOD]

        return build

    def good(source, epoch, first):
        return pack([1, source, epoch, first, 1]) + GOOD

    yield "empty frame", frame(b""), "malformed"
    yield "two frames", lambda *a: [good(*a), good(*a)], "malformed"
    yield "an empty second frame", lambda *a: [good(*a), b""], "malformed"
    yield "a hundred frames", lambda *a: [good(*a)] * 100, "malformed"
    yield "a frame of 1 MiB and a byte", lambda *a: [good(*a).ljust(2**20 + 1, b"\xc0")], "too_large"
    yield "a frame of 4 MiB", lambda *a: [good(*a).ljust(2**22, b"\xc0")], "too_large"
    yield "0xc1", frame(b"\xc1"), "malformed"
    yield "0xc1 inside the header", frame(b"\x95\x01\xa1s\xc1\x01\x01", GOOD), "malformed"
    for name, bomb in (
        ("array32", b"\xdd\xff\xff\xff\xff"),
        ("map32", b"\xdf\xff\xff\xff\xff"),
        ("str32", b"\xdb\xff\xff\xff\xff"),
        ("bin32", b"\xc6\xff\xff\xff\xff"),
        ("ext32", b"\xc9\xff\xff\xff\xff\x01"),
        ("array16", b"\xdc\xff\xff"),
    ):
        yield f"{name} bomb", frame(bomb), "malformed"
        yield f"{name} bomb as source", frame(b"\x95\x01", bomb, b"\x01\x01\x01"), "malformed"
    yield "nested 160 deep", frame(b"\x91" * 160), "malformed"
    yield "nested arrays that ask for much", frame(b"\xdd\x00\x00\xff\xff" * 32), "malformed"
    whole = pack([1, "victim", 1, 1, 1])
    for size in range(1, len(whole)):
        yield f"header cut to {size} bytes", frame(whole[:size]), "malformed"
    for name, item in (
        ("nil", None), ("an integer", 7), ("a map", {}), ("text", "hello"), ("true", True), ("bin", b"x"),
    ):
        yield f"{name} for a header", frame(pack(item), GOOD), "invalid"
    yield "a header of no elements", frame(pack([]), GOOD), "invalid"
    yield "a header of four elements", frame(pack([1, "victim", 1, 1]), GOOD), "invalid"
    yield "a header of six elements", frame(pack([1, "victim", 1, 1, 1, 1]), GOOD), "invalid"
    for field, values in (
        ("version", (0, 2, -1, "1", 1.5, None, 2**64 - 1)),
        ("source", ("", text(129), "a b", "a\x7f", "é", "a\0b", None, 7, b"bin", "weir", "weir-x", ["s"])),
        ("epoch", (-1, "1", None, 1.5, {}, True)),
        ("first", (-1, "1", None, 1.5, [])),
        ("count", (0, 16385, 2**32, 2**64 - 1, -1, "1", None, 1.5)),
    ):
        for value in values:
            yield f"{field} {value!r}"[:60], header(**{field: value}), "invalid"
    yield "sequences past 2^64", header(first=2**64 - 1, count=2), "invalid"
    yield "unsequenced, count 0", header(first=0, count=0), "invalid"


# Events that are refused alone: (name, bytes, reason). They travel between two good ones.
def bad_events():
    for name, item in (("nil", None), ("an integer", 1), ("a map", {}), ("text", "x"), ("bin", b"x")):
        yield f"{name} for an event", pack(item), "invalid"
    for arity in (0, 1, 4, 7):
        yield f"an event of {arity} elements", pack((event() + [{}, {}])[:arity]), "invalid"
    for field, values in (
        ("occurred_at", (-1, 2**63, 2**64 - 1, "1", None, 1.5, True)),
        ("type", ("", text(65), "Upper.case", "a b", "a/b", "é", None, 7, b"a.b", "weir", "weir.x", ["a"])),
        ("subject", ("", text(129), None, 7, b"s", {})),
        ("schema_version", (0, 65536, -1, "1", None, 1.5)),
        ("data", ([], "x", 7, b"x", True)),
        ("attributes", ([], "x", 7, {"a": 1}, {"a": None}, {"a": {}}, {1: "a"}, {"a": b"x"}, True)),
    ):
        for value in values:
            yield f"{field} {value!r}"[:60], pack(event(**{field: value})), "invalid"
    yield "data nil", raw_event(data=pack(None)), "invalid"
    for name, value in (
        ("0xff", b"\xff"),
        ("an overlong NUL", b"\xc0\x80"),
        ("an overlong slash", b"\xe0\x80\xaf"),
        ("a surrogate", b"\xed\xa0\x80"),
        ("a code point above U+10FFFF", b"\xf4\x90\x80\x80"),
        ("half a character", b"a\xc3"),
        ("a stray continuation", b"\x80"),
    ):
        yield f"subject with {name}", raw_event(subject=with_text(value)), "invalid"
        yield f"data text with {name}", with_data(with_text(value)), "invalid"
        yield f"data key with {name}", raw_event(data=b"\x81" + with_text(value) + pack(1)), "invalid"
    yield "type with bad UTF-8", raw_event(type=with_text(b"a\xff")), "invalid"
    yield "attribute with bad UTF-8", raw_event(more=b"\x81\xa1a" + with_text(b"\xff"), arity=6), "invalid"
    yield "an attribute twice", raw_event(more=b"\x82\xa1a\xa1x\xa1a\xa1y", arity=6), "invalid"
    yield "a key twice", raw_event(data=b"\x82\xa1a\x01\xa1a\x02"), "invalid"
    yield "a key twice in another form", raw_event(data=b"\x82\xa1a\x01\xd9\x01a\x02"), "invalid"
    yield "a key twice in a nested map", with_data(b"\x82\xa1a\x01\xa1a\x02"), "invalid"
    many = b"".join(pack(f"k{number}", 1) for number in range(5000))
    yield "the last of 5,001 keys twice", raw_event(data=b"\xde\x13\x89" + many + pack("k0", 1)), "invalid"
    for name, key in (("integer", pack(1)), ("nil", b"\xc0"), ("bin", b"\xc4\x01a"), ("array", b"\x90")):
        yield f"a key that is {name}", raw_event(data=b"\x81" + key + pack(1)), "invalid"
    for name, value in (
        ("NaN", NAN),
        ("NaN of 32 bits", b"\xca\x7f\xc0\x00\x00"),
        ("infinity", b"\xcb" + struct.pack(">d", math.inf)),
        ("minus infinity", b"\xca" + struct.pack(">f", -math.inf)),
        ("bin", b"\xc4\x01a"),
        ("ext", b"\xd4\x01a"),
        ("a timestamp", b"\xd6\xff\x00\x00\x00\x01"),
        ("an empty ext 8", b"\xc7\x00\x05"),
    ):
        yield f"{name} in data", with_data(value), "invalid"
        yield f"{name} in a list in data", with_data(b"\x91" + value), "invalid"
    for kind in ("map", "array"):
        yield f"{kind}s 9 deep", with_data(nested(8, kind)), "invalid"
        yield f"{kind}s 50 deep", with_data(nested(49, kind)), "invalid"
    yield "64 KiB and a byte", pack(event(data={"x": text(65536 - 24)})), "too_large"
    yield "500 KiB", pack(event(data={"x": text(500 * 1024)})), "too_large"
    yield "too large and invalid", pack(event(type="Bad", data={"x": text(70000)})), "too_large"
    for name, data in (
        ("without its amount", {"account": "a"}),
        ("without its account", {"amount": 1}),
        ("with a negative amount", {"account": "a", "amount": -1}),
        ("with a fractional amount", {"account": "a", "amount": 1.5}),
        ("with a text amount", {"account": "a", "amount": "1"}),
        ("with a list for an account", {"account": ["a"], "amount": 1}),
        ("with nil for an account", {"account": None, "amount": 1}),
        ("with an account of 129 bytes", {"account": text(129), "amount": 1}),
    ):
        yield f"a payment {name}", pack(event(type="pay.out", data=data)), "invalid"
    yield "a payment above its quota", pack(event(type="pay.out", data={"account": "a", "amount": 11})), "rate_limited"


# Events that end their submission: what they are, as bytes.
def broken_events():
    yield "0xc1 for an event", b"\xc1"
    yield "0xc1 in data", with_data(b"\xc1")
    yield "0xc1 as a key", raw_event(data=b"\x81\xc1\x01")
    for name, bomb in (
        ("array32", b"\xdd\xff\xff\xff\xff"), ("map32", b"\xdf\xff\xff\xff\xff"),
        ("str32", b"\xdb\xff\xff\xff\xff"), ("bin32", b"\xc6\xff\xff\xff\xff"), ("ext32", b"\xc9\xff\xff\xff\xff\x01"),
    ):
        yield f"{name} bomb for an event", bomb
        yield f"{name} bomb in data", with_data(bomb)
        yield f"{name} bomb as subject", raw_event(subject=bomb)
    yield "nested 70 deep", with_data(nested(70, "array"))
    yield "nested 70 maps deep", with_data(nested(70, "map"))
    yield "nested 100,000 deep", with_data(nested(100000, "array"))
    yield "a text past the frame", with_data(b"\xda\xff\xf0abc")


GOOD_EDGES = [
    ("type of 64 bytes", event(type=text(64))),
    ("subject of 128 bytes", event(subject=text(128))),
    ("subject of 128 bytes of UTF-8", event(subject=text(64, "é"))),
    ("occurred_at 0", event(occurred_at=0)),
    ("occurred_at 2^63 - 1", event(occurred_at=2**63 - 1)),
    ("schema_version 65,535", event(schema_version=65535)),
    ("data 8 deep", weir.unpack(with_data(nested(7, "map")))),
    ("64 KiB", event(data={"x": text(65536 - 25)})),
    ("attributes", event(attributes={"traceparent": "00-ab-cd-01"})),
    ("empty attributes", event(attributes={})),
    ("type that only contains weir", event(type="a.weir")),
    ("a payment of nothing", event(type="pay.out", data={"account": "b", "amount": 0})),
]


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.station = weir.Station(policy=POLICY)
        cls.addClassCleanup(cls.station.close)
        cls.station.start_processor()
        cls.control = cls.station.control()
        cls.victim = cls.station.source("victim")
        cls.neighbour = cls.station.source("neighbour")
        cls.neighbour_events = 0
        cls.cases = 0

    def setUp(self):
        status = self.control.status()
        self.next_event = status["last_event_id"] + 1
        self.next_rejection = status["last_rejection_id"] + 1

    def tearDown(self):
        """The neighbour never notices."""
        self.assertTrue(self.station.processor.running())
        self.assertEqual(self.neighbour.submit([event(subject="n")] * 3), {})

    def check(self, name, frames, used, accepted, refused):
        """Submits frames that should use `used` sequences from the victim's next on, then a good
        event behind them. `accepted`: offsets; `refused`: (reason, offset or None, count)."""
        type(self).cases += 1
        first = self.victim.last_sequence + 1
        self.victim.ingest.raw(*frames)
        self.victim.last_sequence += used
        self.victim.send([event(subject="behind")])
        self.victim.wait()
        events = self.control.replay_all("accepted", self.next_event)
        self.next_event += len(events)
        rejections = self.control.replay_all("rejected", self.next_rejection)
        self.next_rejection += len(rejections)
        self.assertEqual(
            [(r.source, r.sequence) for r in events],
            [("victim", first + offset) for offset in (*accepted, used)], name,
        )
        self.assertEqual(
            [(r.reason, r.sequence, r.count) for r in rejections],
            [(reason, None if at is None else first + at, number) for reason, at, number in refused],
            f"{name}: {rejections}",
        )
        return rejections

    def header(self, number, source=None):
        return pack([1, source or "victim", self.victim.epoch, self.victim.last_sequence + 1, number])

    def test_frames_and_headers_that_are_refused_whole(self):
        for name, build, reason in broken_frames():
            with self.subTest(name):
                frames = build("victim", self.victim.epoch, self.victim.last_sequence + 1)
                record, = self.check(name, frames, 0, [], [(reason, None, 1)])
                self.assertTrue(record.detail)
                self.assertTrue(record.evidence is None or len(record.evidence) <= 256)

    def test_events_that_are_refused_alone(self):
        for name, item, reason in bad_events():
            with self.subTest(name):
                frame = self.header(3) + GOOD + item + GOOD
                record, = self.check(name, [frame], 3, [0, 2], [(reason, 1, 1)])
                self.assertEqual(record.source, "victim")
                self.assertEqual(record.retry_after, None)

    def test_events_that_end_their_submission(self):
        for name, item in broken_events():
            with self.subTest(name):
                frame = self.header(3) + GOOD + item
                self.check(name, [frame], 3, [0], [("malformed", 1, 2)])

    def test_truncation_of_an_event_at_every_byte(self):
        whole = pack(event(data={"a": [1, "é", 2.5, {"b": None}]}, attributes={"t": "x"}))
        for size in range(len(whole)):
            with self.subTest(size):
                frame = self.header(2) + GOOD + whole[:size]
                self.check(f"cut to {size}", [frame], 2, [0], [("malformed", 1, 1)])

    def test_bytes_behind_the_last_event(self):
        for name, behind in (("nil", b"\xc0"), ("0xc1", b"\xc1"), ("an event", GOOD)):
            with self.subTest(name):
                frame = self.header(2) + GOOD * 2 + behind
                self.check(name, [frame], 2, [0, 1], [("malformed", None, 1)])

    def test_fewer_events_than_the_header_says(self):
        self.check("5 announced, 2 there", [self.header(5) + GOOD * 2], 5, [0, 1], [("malformed", 2, 3)])

    def test_what_is_just_inside_the_limits(self):
        for name, item in GOOD_EDGES:
            with self.subTest(name):
                self.check(name, [self.header(1) + pack(item)], 1, [0], [])
        many = 16384
        self.check("16,384 events", [self.header(many) + GOOD * many], many, range(many), [])

    def test_unsequenced_submissions_are_checked_all_the_same(self):
        head = pack([1, "one-line", 0, 0, 3])
        self.victim.ingest.raw(head + GOOD + pack(event(type="Bad")) + GOOD)
        self.victim.submit([event()])
        _, events = self.control.replay("accepted", self.next_event)
        _, rejections = self.control.replay("rejected", self.next_rejection)
        self.assertEqual([(r.source, r.sequence) for r in events[:2]], [("one-line", 0)] * 2)
        self.assertEqual([(r.reason, r.source, r.count) for r in rejections], [("invalid", "one-line", 1)])
        self.assertIn(rejections[0].sequence, (None, 0))

    def test_a_full_table_of_keys_refuses_new_keys_only(self):
        rare = [pack(event(type="rare.x", subject=f"key-{number}")) for number in (1, 2, 3, 1)]
        self.check("third key", [self.header(4) + b"".join(rare)], 4, [0, 1, 3], [("unavailable", 2, 1)])

    def test_a_cost_over_the_quota_is_refused_with_the_key_and_no_wait(self):
        pay = [pack(event(type="pay.out", data={"account": 5, "amount": amount})) for amount in (8, 3, 11)]
        refused = [("rate_limited", 1, 1), ("rate_limited", 2, 1)]
        waits, never = self.check("payments", [self.header(3) + b"".join(pay)], 3, [0], refused)
        self.assertEqual((waits.policy, waits.key), ("account", 5))
        self.assertTrue(0 < waits.retry_after <= 3600 * weir.SECOND)
        self.assertIsNone(never.retry_after)
        self.assertEqual(never.evidence, weir.unpack(pay[2]))

    # -- sequences: nothing is recorded, the ack says it -------------------------------------------

    def other(self, name):
        """A source with three accepted events."""
        source = self.station.source(name)
        source.submit([event()] * 3)
        return source

    def answer(self, source, epoch, first, events):
        """The ack that a submission under any epoch and sequence gets. Of gap and fenced one per
        source and 100 ms is promised, not more, by the times of batches: the hello has one of after the
        pause, and what is sent behind its answer none of before."""
        time.sleep(0.11)
        self.control.hello("pause")
        source.ingest.send(source.name, epoch, first, events)
        return source.acks.next(source.name)

    def test_old_and_unknown_epochs_are_fenced_and_told_the_current_one(self):
        source = self.other("fenced")
        for epoch in (0, source.epoch + 1, 2**64 - 1):
            with self.subTest(epoch=epoch):
                ack = self.answer(source, epoch, 4, [event()])
                self.assertEqual((ack.status, ack.epoch), ("fenced", source.epoch))
        newer = self.station.source("fenced")
        self.assertEqual((newer.epoch, newer.last_sequence), (source.epoch + 1, 3))
        ack = self.answer(source, source.epoch, 4, [event()])
        self.assertEqual((ack.status, ack.epoch), ("fenced", newer.epoch))
        self.assertEqual(newer.submit([event()]), {})

    def test_a_source_that_never_said_hello_is_fenced(self):
        self.victim.ingest.send("stranger", 1, 1, [event()])
        ack = self.station.acks().next("stranger")
        self.assertEqual((ack.status, ack.epoch), ("fenced", 0))

    def test_a_sequence_ahead_gets_a_gap_that_says_where_to_resume(self):
        source = self.other("ahead")
        for first in (5, 100, 2**64 - 1):
            with self.subTest(first=first):
                ack = self.answer(source, source.epoch, first, [event()])
                self.assertEqual((ack.status, ack.last_sequence), ("gap", 3))
                self.assertEqual(ack.first_sequence, 4)
        self.assertEqual(source.submit([event()]), {})

    def test_a_resend_gets_its_verdicts_again_and_spends_nothing(self):
        source = self.station.source("resender")
        pay = [event(type="pay.in", data={"account": "r", "amount": amount}) for amount in (6, 6, 4)]
        self.assertEqual(list(source.submit(pay)), [2])
        for _ in range(3):
            ack = self.answer(source, source.epoch, 1, pay)
            self.assertEqual((ack.status, ack.first_sequence, ack.last_sequence), ("ok", 1, 3))
            self.assertEqual([refusal[0] for refusal in ack.refusals], [2])
        ack = self.answer(source, source.epoch, 3, [pay[2], event()])  # half old, half new
        self.assertEqual((ack.status, ack.first_sequence, ack.last_sequence), ("ok", 3, 3))
        ack = source.acks.next(source.name)
        self.assertEqual((ack.status, ack.first_sequence, ack.last_sequence), ("ok", 4, 4))
        source.last_sequence = source.acknowledged = 4
        later = event(type="pay.in", data={"account": "r", "amount": 1})
        self.assertEqual(list(source.submit([later])), [5], "the ten units are spent once")

    # -- control ------------------------------------------------------------------------------------

    REQUESTS = [
        ("empty", b"", "bad_request"),
        ("0xc1", b"\xc1", "bad_request"),
        ("a bomb", b"\xdd\xff\xff\xff\xff", "bad_request"),
        ("nested 200 deep", b"\x91" * 200, "bad_request"),
        ("cut short", pack([1, "hello", "s"])[:-1], "bad_request"),
        ("bytes behind it", pack([1, "status"]) + b"\xc0", "bad_request"),
        ("nil", pack(None), "bad_request"),
        ("a map", pack({}), "bad_request"),
        ("text", pack("status"), "bad_request"),
        ("no elements", pack([]), "bad_request"),
        ("no verb", pack([1]), "bad_request"),
        ("a number for a verb", pack([1, 7]), "bad_request"),
        ("bin for a verb", pack([1, b"status"]), "bad_request"),
        ("a text version", pack(["1", "status"]), "bad_request"),
        ("an unknown verb", pack([1, "reboot"]), "unknown_verb"),
        ("an empty verb", pack([1, ""]), "unknown_verb"),
        ("a verb with a NUL", pack([1, "status\0"]), "unknown_verb"),
        ("hello without a source", pack([1, "hello"]), "bad_request"),
        ("hello with two", pack([1, "hello", "a", "b"]), "bad_request"),
        ("hello to a number", pack([1, "hello", 7]), "bad_request"),
        ("hello to nil", pack([1, "hello", None]), "bad_request"),
        ("hello to nobody", pack([1, "hello", ""]), "invalid"),
        ("hello to 129 bytes", pack([1, "hello", text(129)]), "invalid"),
        ("hello to a blank", pack([1, "hello", "a b"]), "invalid"),
        ("hello to weir", pack([1, "hello", "weir-me"]), "invalid"),
        ("hello to an umlaut", pack([1, "hello", "ä"]), "invalid"),
        ("replay alone", pack([1, "replay"]), "bad_request"),
        ("replay of three", pack([1, "replay", "accepted", 1]), "bad_request"),
        ("replay of text", pack([1, "replay", "accepted", "1", 1]), "bad_request"),
        ("replay of nil", pack([1, "replay", "accepted", 1, None]), "bad_request"),
        ("replay of another stream", pack([1, "replay", "acks", 1, 1]), "invalid"),
        ("replay from 0", pack([1, "replay", "accepted", 0, 1]), "invalid"),
        ("replay of 0 records", pack([1, "replay", "accepted", 1, 0]), "invalid"),
        ("seek alone", pack([1, "seek"]), "bad_request"),
        ("seek of another stream", pack([1, "seek", "x", 1]), "invalid"),
        ("seek of text", pack([1, "seek", "accepted", "now"]), "bad_request"),
        ("status with more", pack([1, "status", 1]), "bad_request"),
        ("policy alone", pack([1, "policy"]), "bad_request"),
        ("policy set of a number", pack([1, "policy", "set", 7]), "bad_request"),
    ]

    def test_requests_that_are_answered_with_an_error(self):
        for name, frame, code in self.REQUESTS:
            with self.subTest(name):
                type(self).cases += 1
                reply = weir.unpack(self.control.exchange([frame])[0])
                self.assertEqual(reply[:3], [1, "error", code], reply)
                self.assertTrue(reply[3])

    def test_past_the_end_a_replay_is_empty(self):
        for stream in ("accepted", "rejected"):
            for first in (2**32, 2**64 - 1):
                items, records = self.control.replay(stream, first, 1)
                self.assertEqual((items[2], records), (0, []))

    def test_random_bytes_do_no_harm(self):
        generator = random.Random(weir.count("WEIR_SEED", 1))
        for _ in range(3000):
            self.victim.ingest.raw(generator.randbytes(generator.randrange(200)))
        mutant = self.station.source("mutant")
        good = weir.submission("mutant", mutant.epoch, 1, [event()] * 3)
        for _ in range(3000):
            frame = bytearray(good)
            for _ in range(generator.randrange(1, 4)):
                frame[generator.randrange(len(frame))] = generator.randrange(256)
            self.victim.ingest.raw(bytes(frame[: generator.randrange(1, len(frame) + 1)]))
        for _ in range(500):
            self.control.socket.send(generator.randbytes(generator.randrange(100)))
        self.control.connect()
        self.assertEqual(self.victim.submit([event()]), {})

    def test_zz_the_table_has_at_least_a_hundred_cases(self):
        self.assertGreaterEqual(self.cases, 100)
        print(f"{self.cases} hostile cases")


class Oversize(unittest.TestCase):
    def test_a_frame_above_4_mib_or_a_request_above_its_limit_costs_only_its_own_connection(self):
        with weir.Station() as station:
            station.start_processor()
            neighbour = station.source("neighbour")
            control = station.control()
            station.ingest().raw(b"\xc0" * (4 * 1024 * 1024 + 1))
            station.control().socket.send(b"\xc0" * (1024 * 1024))
            time.sleep(0.2)  # nothing can be heard of either; give them time to arrive
            self.assertEqual(neighbour.submit([event()]), {})
            self.assertEqual(control.status()["last_rejection_id"], 0)


class Memory(unittest.TestCase):
    def test_bad_submissions_leave_no_memory_behind(self):
        total = weir.count("WEIR_BAD", 100_000)
        kinds = [
            b"\xc1", b"", b"\xdd\xff\xff\xff\xff", b"\x91" * 200, pack([2, "s", 1, 1, 1]),
            pack([1, "s", 1, 0, 0]), pack([1, "s", 1, 0, 2]) + GOOD, pack([1, "s", 1, 0, 1]) + with_data(NAN),
            pack([1, "s", 7, 1, 1]) + GOOD, pack([1, text(128), 1, 1, 1]) + GOOD,
            pack([1, "s", 0, 0, 1]) + pack(event(type="rare.x", subject=text(128))) + GOOD,
        ]
        with weir.Station(policy=POLICY) as station:
            station.start_processor()
            source = station.source("good")
            ingest = source.ingest

            def flood(number):
                for at in range(number):
                    if at % 1000 == 999:  # in step with the processor
                        self.assertEqual(source.submit([event()]), {})
                    else:
                        ingest.raw(kinds[at % len(kinds)])
                source.submit([event()])

            flood(2000)
            before = station.processor.rss_bytes()
            flood(total)
            growth = station.processor.rss_bytes() - before
            print(f"{total} bad submissions: RSS {before >> 10} KiB, {growth >> 10:+d} KiB")
            if not weir.sanitized():
                self.assertLessEqual(growth, RSS_GROWTH_MAX)


if __name__ == "__main__":
    weir.main()
