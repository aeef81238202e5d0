"""weir-producer inject: every kind of bad submission gets what the protocol states, beside honest
traffic that is not affected, and a processor that answers something else is found out.

WEIR_INJECT: runs of the whole catalogue under load (default 6).
"""

import json
import re
import sys
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import zmq  # noqa: E402

import weir  # noqa: E402
from weir import pack, unpack, unpack_all  # noqa: E402

LIMIT = '"per-subject";q=400;w=1;pk=subject'
COUNTED_ONLY = {"gap", "stale-epoch", "future-epoch", "duplicates"}
RSS_GROWTH_MAX = 16 * 1024 * 1024
HEXDUMP = re.compile(r"evidence +0000 ( [0-9a-f]{2}){1,16} +\|.{1,16}\|")


def inject(station, *arguments):
    """(exit code, stdout, stderr)"""
    return station.run("producer", "inject", "--run-dir", station.run_dir, *arguments)


def findings(station, *arguments):
    """The exit code, and {kind: [finding, …]}."""
    code, out, err = inject(station, "--json", *arguments)
    found = {}
    for line in out.splitlines():
        finding = json.loads(line)
        found.setdefault(finding["kind"], []).append(finding)
    assert code in (0, 1), err
    return code, found


def kinds(station):
    """{name: reason} of --list."""
    code, out, _ = station.run("producer", "inject", "--list")
    assert code == 0
    return {line.split()[0]: line.split()[1] for line in out.splitlines()[1:]}


class Altered(threading.Thread):
    """A feed on the way from the processor whose messages are passed through `change`, which gives
    the frames to send on, or None."""

    def __init__(self, station, change):
        super().__init__(daemon=True)
        self.change = change
        self.endpoint = f"ipc://{station.folder}/altered-{id(self)}"
        self.stopping = threading.Event()
        self.context = zmq.Context()
        self.feed = self.context.socket(zmq.SUB)
        self.feed.subscribe("")
        self.feed.connect(station.endpoint("events"))
        self.out = self.context.socket(zmq.PUB)
        self.out.bind(self.endpoint)
        self.start()

    def run(self):
        while not self.stopping.is_set():
            if self.feed.poll(20):
                frames = self.change(self.feed.recv_multipart())
                if frames:
                    self.out.send_multipart(frames)
        self.context.destroy(linger=0)

    def close(self):
        self.stopping.set()
        self.join()


def altered_records(change):
    """A change of the topic `rejected`: each record passes through change (record)."""

    def altered(frames):
        if frames[0] == b"rejected":
            frames[2] = b"".join(pack(change(record)) for record in unpack_all(frames[2]))
        return frames

    return altered


class UnderLoad(unittest.TestCase):
    SOURCES = 4

    def honest_load(self, station):
        return station.start_producer(
            "generate", "--rate", "10000", "--source", "honest", "--sources", self.SOURCES,
            "--subjects", "2000", "--seed", "7",
        )

    def check_honest(self, station, said):
        """All that was generated was accepted, in order, each sequence once."""
        accepted = int(re.search(r"(\d+) accepted, 0 refused", said)[1])
        control = station.control()
        last = {}
        for record in control.replay_all("accepted"):
            if record.source.startswith("honest"):
                self.assertEqual(record.sequence, last.get(record.source, 0) + 1)
                last[record.source] = record.sequence
        self.assertEqual((len(last), sum(last.values())), (self.SOURCES, accepted))
        others = [r for r in control.replay_all("rejected") if r.source and r.source.startswith("honest")]
        self.assertEqual(others, [])

    def test_all_is_as_stated_no_honest_event_is_affected_and_memory_is_bounded(self):
        rounds = weir.count("WEIR_INJECT", 6)
        with weir.Station(limits=[LIMIT]) as station:
            station.start_processor()
            projector = station.start_projector()
            expected = kinds(station)
            generator = self.honest_load(station)
            self.check_findings(*findings(station, "--count", "2"), expected)
            before = station.processor.rss_bytes()
            for _ in range(rounds):
                self.check_findings(*findings(station), expected)
            growth = station.processor.rss_bytes() - before
            self.assertTrue(generator.running())
            self.assertEqual(generator.stop(), 0)
            print(f"{rounds} rounds of {len(expected)} kinds: RSS {before >> 10} KiB, {growth >> 10:+d} KiB")
            if not weir.sanitized():
                self.assertLessEqual(growth, RSS_GROWTH_MAX)
            self.check_honest(station, generator.out_text())
            weir.digests_at([station.query()], station.control().status())
            self.assertTrue(projector.running())

    def check_findings(self, code, found, expected):
        self.assertEqual(set(found), set(expected))
        wrong = [f for each in found.values() for f in each if f["as_stated"] is not True]
        self.assertEqual((code, wrong), (0, []))
        for kind, each in found.items():
            for finding in each:
                self.check_finding(kind, finding, expected[kind])

    def check_finding(self, kind, finding, reason):
        self.assertEqual(finding["reason"], reason)
        record, ack = finding["rejection"], finding["ack"]
        if kind in COUNTED_ONLY:
            self.assertIsNone(record)
        elif record:  # else it stood in a summary without a source
            self.assertEqual(record["reason"], reason)
        if finding["sequences"] or kind in COUNTED_ONLY:
            self.assertIsNotNone(ack)
        if kind == "burst":
            self.assertEqual((finding["decided"], finding["refused"]), (405, 5))
            self.assertEqual(record["policy"], "per-subject")
        if kind == "trailing-bytes":
            self.assertEqual((record["sequence"], record["evidence"]), (None, "deadbeef"))

    def test_while_refusals_come_too_fast_for_records_summaries_will_do(self):
        with weir.Station(limits=['"per-subject";q=2;w=600;pk=subject']) as station:
            station.start_processor("--refusal-records", "1")
            station.start_producer("generate", "--rate", "20000", "--subjects", "5000")
            control = station.control()
            weir.until(lambda: control.status()["last_rejection_id"] > 20, "refusals")
            code, found = findings(station)
            wrong = [f for each in found.values() for f in each if f["as_stated"] is False]
            self.assertEqual((code, wrong), (0, []))

    def test_several_at_once_do_not_disturb_each_other(self):
        with weir.Station(limits=[LIMIT]) as station:
            station.start_processor()
            injectors = [station.start_producer("inject", "--count", "3") for _ in range(3)]
            for injector in injectors:
                self.assertEqual(injector.wait(), 0, injector.out_text())
                self.assertIn("132 injected: 132 as stated, 0 not; 0 skipped", injector.out_text())


class WrongAnswers(unittest.TestCase):
    """Each test stands between the processor and inject, or stops the processor."""

    @classmethod
    def setUpClass(cls):
        cls.station = weir.Station(limits=[LIMIT])
        cls.addClassCleanup(cls.station.close)
        cls.station.start_processor()

    def through(self, change, *arguments):
        feed = Altered(self.station, change)
        self.addCleanup(feed.close)
        return inject(self.station, "--events", feed.endpoint, *arguments)

    def test_another_reason_is_found(self):
        def change(record):
            record[3] = "invalid"
            return record

        code, out, _ = self.through(altered_records(change), "--kind", "not-messagepack")
        self.assertEqual(code, 1)
        self.assertIn("rejection", out)
        self.assertRegex(out, r"NOT as stated: rejection \d+ is another than it should be")
        self.assertIn("1 injected: 0 as stated, 1 not; 0 skipped", out)

    def test_another_sequence_is_found(self):
        def change(record):
            record[6] = record[6] and record[6] + 1
            return record

        code, out, _ = self.through(altered_records(change), "--kind", "duplicate-keys")
        self.assertEqual(code, 1)
        self.assertIn("NOT as stated", out)

    def test_an_ack_that_accepts_what_is_bad_is_found(self):
        def change(frames):
            if frames[0].startswith(b"ack/"):
                ack = unpack(frames[1])
                ack[7] = []
                frames[1] = pack(ack)
            return frames

        code, out, _ = self.through(change, "--kind", "nan")
        self.assertEqual(code, 1)
        self.assertRegex(out, "NOT as stated: 0 sequences were refused, not 1")

    def test_records_that_the_feed_loses_are_replayed(self):
        code, out, err = self.through(lambda frames: None if frames[0] == b"rejected" else frames)
        self.assertEqual(code, 0, out)
        self.assertIn("the feed lost records of refusal", err)

    def test_a_processor_that_dies_is_found(self):
        with weir.Station() as station:
            station.start_processor()
            injector = station.start_producer("inject", "--kind", "nan", "--count", "1000000")
            injector.expected_exits = {1}
            injector.wait_for_log("ready")
            station.processor.kill()
            self.assertEqual(injector.wait(), 1)
            self.assertIn("after 'nan' the processor does not answer any more", injector.log_text())


class Command(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.station = weir.Station()
        cls.addClassCleanup(cls.station.close)
        cls.station.start_processor()

    def test_the_list_says_what_each_kind_sends_and_should_get(self):
        listed = kinds(self.station)
        self.assertGreaterEqual(len(listed), 40)
        for kind, reason in (
            ("not-messagepack", "malformed"), ("truncated-event", "malformed"), ("header-arity", "invalid"),
            ("event-types", "invalid"), ("bad-utf8", "invalid"), ("duplicate-keys", "invalid"),
            ("too-deep", "invalid"), ("huge-length", "malformed"), ("too-large-event", "too_large"),
            ("too-large-submission", "too_large"), ("extra-frames", "malformed"), ("empty-frame", "malformed"),
            ("unknown-version", "invalid"), ("time-negative", "invalid"), ("count-forged", "malformed"),
            ("trailing-bytes", "malformed"), ("reserved-type", "invalid"), ("reserved-source", "invalid"),
            ("nan", "invalid"), ("bin", "invalid"), ("ext", "invalid"), ("burst", "rate_limited"),
            ("duplicates", "duplicate"), ("gap", "out_of_order"), ("stale-epoch", "fenced"),
        ):
            self.assertEqual(listed[kind], reason, kind)

    def test_one_kind_is_shown_with_its_detail_and_evidence(self):
        code, out, _ = inject(self.station, "--kind", "duplicate-keys", "--count", "3")
        self.assertEqual(code, 0)
        self.assertIn("should be  invalid, record, sequences used: 1 refused", out)
        self.assertRegex(out, r"rejection  \d+: invalid, sequence 1\n")
        self.assertRegex(out, r"detail     data: key 'amount' appears twice at byte \d+")
        self.assertRegex(out, HEXDUMP)
        self.assertIn("and 2 times more, as stated", out)
        self.assertIn("3 injected: 3 as stated, 0 not; 0 skipped", out)

    def test_without_a_limit_the_burst_is_skipped_and_says_so(self):
        code, out, _ = inject(self.station, "--kind", "burst")
        self.assertEqual(code, 0)
        self.assertIn("skipped: no policy in force limits", out)
        self.assertIn("0 injected: 0 as stated, 0 not; 1 skipped", out)

    def test_wrong_usage_and_a_missing_processor_have_their_exit_codes(self):
        for arguments in (["--kind", "no-such-kind"], ["--count", "0"], ["file"]):
            code, _, err = inject(self.station, *arguments)
            self.assertEqual(code, 64)
            self.assertIn("--help", err)
        with weir.Station() as empty:
            empty.run_dir.mkdir(mode=0o700)
            code, out, err = inject(empty)
            self.assertEqual((code, out), (69, ""))
            self.assertIn("no processor answers", err)

    def test_a_stop_ends_it_between_two_injections(self):
        injector = self.station.start_producer("inject", "--count", "1000000")
        injector.expected_exits = {75}
        weir.until(lambda: "as stated" in injector.out_text(), "a first finding")
        self.assertEqual(injector.stop(), 75)
        self.assertRegex(injector.out_text(), r"\d+ injected: \d+ as stated, 0 not; 0 skipped")


if __name__ == "__main__":
    weir.main()
