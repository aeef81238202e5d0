"""verify finds what does not hold: flipped bytes, and logs with valid checksums that no processor
would have written, forged here batch by batch; and finds nothing where all holds.

WEIR_SEED: of the random log (default: printed).  WEIR_FLIPS: bytes flipped (default 24).
"""

import json
import random
import shutil
import subprocess
import sys
import time
import unittest
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import logfile  # noqa: E402
import weir  # noqa: E402
from oracle import POLICY_SETS, check_log, policy_text  # noqa: E402
from weir import event  # noqa: E402

SEED = weir.count("WEIR_SEED", random.SystemRandom().randrange(1 << 32))
SHADOW = """[policy "few"]
key = subject
quota = 4
window = 1h
[policy "watch"]
key = source
quota = 5
window = 1h
mode = shadow
"""


def submit_random(station, rng, submissions):
    """Sequenced, unsequenced and bad submissions of a few sources, some of them at once."""
    sources = [station.source(f"source-{number}") for number in range(3)]
    ingest = station.ingest()
    for _ in range(submissions):
        events = [
            event(type=rng.choice(("order.created", "order.paid", "user.created")), subject=str(rng.randrange(5)),
                  data={"units": rng.choice((0, 1, 1, 2, 9, 60)), "tenant": str(rng.randrange(3)),
                        "card": {"tenant": rng.randrange(3)}})
            for _ in range(rng.randrange(1, 20))
        ]
        if rng.random() < 0.1:
            events[rng.randrange(len(events))] = event(type="Not a type")
        if rng.random() < 0.1:
            events[rng.randrange(len(events))] = event(data={})
        if rng.random() < 0.2:
            ingest.send("nobody", 0, 0, events)
        else:
            rng.choice(sources).send(events)
        if rng.random() < 0.3:
            time.sleep(rng.random() * 0.01)
    for source in sources:
        source.wait()
        source.close()


class Verify(unittest.TestCase):
    def setUp(self):
        self.station = weir.Station()
        self.addCleanup(self.station.close)

    def verify(self, store, *arguments):
        return self.station.run("processor", "verify", "--store", store, *arguments)

    def report(self, store):
        """(exit code, the JSON object)."""
        code, out, error = self.verify(store, "--json")
        self.assertEqual(len(out.splitlines()), 1, out + error)
        return code, json.loads(out)

    def assert_holds(self, store):
        code, report = self.report(store)
        self.assertEqual((code, report["ok"], report["violations"]), (0, True, []), report)
        return report

    def assert_found(self, store, what, where):
        """A violation of these words, as the first one."""
        code, report = self.report(store)
        self.assertEqual((code, report["ok"]), (1, False), report)
        first = report["violations"][0]
        self.assertRegex(first["what"], what)
        self.assertRegex(first["where"], where)
        code, out, _ = self.verify(store)
        self.assertEqual(code, 1)
        self.assertEqual(out.splitlines()[0], f"{first['where']}: {first['what']}")

    def forge(self, batches):
        logfile.write(self.station.store, batches)
        return self.station.store

    def make(self, policy, submit):
        """The batches of a log that a processor wrote; `submit` is handed the station."""
        with weir.Station(policy=policy) as station:
            station.start_processor()
            submit(station)
            station.processor.stop()
            return logfile.read(station.store)

    def small(self):
        """A log with a few accepted and refused events of one source, one submission a batch."""
        def submit(station):
            source = station.source("shop")
            for number in range(4):
                source.submit([event(subject=subject, data={"n": number}) for subject in "ab"] * 2)

        return self.make('[policy "few"]\nkey = subject\nquota = 5\nwindow = 1h\n', submit)

    def with_both(self, batches):
        """The index of a batch that holds accepted and refused events."""
        return next(i for i, b in enumerate(batches) if b.event_count and b.rejection_count)

    # ---- what holds ----

    def test_a_log_of_random_submissions_holds_and_the_oracle_agrees(self):
        for number, policies in enumerate(POLICY_SETS):
            with self.subTest(policies=number, seed=SEED), weir.Station(policy=policy_text(policies)) as station:
                station.start_processor()
                submit_random(station, random.Random(SEED + number), 150)
                live = station.control().status()
                station.processor.stop()
                report = self.assert_holds(station.store)
                accepted, rejected = logfile.records(station.store)
                self.assertEqual(report["events"], len(accepted))
                self.assertEqual(report["rejections"], len(rejected))
                self.assertEqual((live["last_event_id"], live["last_rejection_id"]), (len(accepted), len(rejected)))
                check_log(policies, accepted, [r for r in rejected if r.reason == "rate_limited"], f"(seed {SEED})")

    def test_changed_policies_and_shadow_reports_hold(self):
        policies = (policy_text(POLICY_SETS[0]), SHADOW, SHADOW.replace("4", "2"), policy_text(POLICY_SETS[2]))
        with weir.Station() as station:
            for run, policy in enumerate(policies):
                (station.folder / "policy.ini").write_text(policy)
                station.policy_arguments = ["--policy", station.folder / "policy.ini"]
                station.start_processor()
                submit_random(station, random.Random(SEED), 40)
                # One more than the quota in shadow, and none that another policy of SHADOW refuses.
                station.source(f"watched-{run}").submit([event(subject=f"{run}-{n}") for n in range(6)])
                station.processor.stop()
            self.assert_holds(station.store)
            _, rejected = logfile.records(station.store)
            self.assertIn("shadow", {record.reason for record in rejected})

    def test_summed_up_refusals_hold(self):
        with weir.Station(policy=SHADOW) as station:
            station.start_processor("--refusal-records", "20")
            submit_random(station, random.Random(SEED), 60)
            station.processor.stop()
            self.assert_holds(station.store)
            _, rejected = logfile.records(station.store)
            self.assertIn((None, "rate_limited"), {(record.sequence, record.reason) for record in rejected})

    def test_a_store_in_use_is_verified_as_far_as_it_goes(self):
        with weir.Station(policy=SHADOW) as station:
            station.start_processor()
            for _ in range(5):
                producer = station.start_producer("generate", "--rate", "0", "--count", "20000")
                while producer.running():
                    self.assert_holds(station.store)
                self.assertIn(producer.wait(), (0, 2))
            self.assert_holds(station.store)

    def test_the_same_decisions_have_the_same_digest(self):
        lines = "".join(
            json.dumps({"source": "s", "type": "t", "subject": str(n % 3), "time": f"2026-01-01T00:00:{n:02}Z"}) + "\n"
            for n in range(60)
        )
        digests = set()
        for name in "ab":
            store = self.station.folder / name
            self.station.run("processor", "batch", "-", "--store", store, "--limit", '"x";q=4;w=10;pk=subject', input=lines)
            digests.add(self.assert_holds(store)["records_digest"])
        self.assertEqual(len(digests), 1)

    def test_what_was_forged_without_a_change_holds(self):
        self.assert_holds(self.forge(self.small()))

    # ---- bytes ----

    def test_a_flipped_byte_is_damage_wherever_it_is(self):
        """Header, sources, accepted, rejected, padding, genesis: exit 74, file and offset named."""
        store = self.forge(self.small())
        path, = logfile.segments(store)
        original = path.read_bytes()
        end = len(original.rstrip(b"\0"))
        last, at = 0, 0
        while at < end:  # the last batch could be a torn write
            last, (_, at) = at, logfile.decode(original, at)
        rng = random.Random(SEED)
        places = [*range(0, 128, 8), *(rng.randrange(last) for _ in range(weir.count("WEIR_FLIPS", 24)))]
        for place in places:
            with self.subTest(place=place, seed=SEED):
                data = bytearray(original)
                data[place] ^= 1 << rng.randrange(8)
                path.write_bytes(data)
                code, report = self.report(store)
                self.assertEqual((code, report["ok"]), (74, False), report)
                self.assertRegex(report["violations"][0]["what"], rf"{path.name}: offset \d+")

    def test_a_batch_that_is_missing_doubled_or_elsewhere_is_damage(self):
        batches = self.small()
        for name, forged in (
            ("missing", batches[:2] + batches[3:]),
            ("doubled", batches[:3] + batches[2:]),
            ("elsewhere", batches[:2] + [batches[3], batches[2]] + batches[4:]),
        ):
            with self.subTest(name):
                code, report = self.report(self.forge(forged))
                self.assertEqual((code, report["ok"]), (74, False), report)

    def test_a_chain_that_is_broken_is_damage(self):
        store = self.forge(self.small())
        other = self.station.folder / "other"
        logfile.write(other, self.small())
        (path,), (foreign,) = logfile.segments(store), logfile.segments(other)
        data, strange = bytearray(path.read_bytes()), foreign.read_bytes()
        _, at = logfile.decode(data, 0)
        _, end = logfile.decode(strange, 0)
        _, behind = logfile.decode(strange, end)
        data[at : at + behind - end] = strange[end:behind]  # another log's batch 1
        path.write_bytes(data)
        self.assertEqual(self.report(store)[0], 74)

    def test_a_verdict_that_cannot_be_written_is_no_success(self):
        with weir.Station(policy=SHADOW) as station:
            station.start_processor()
            station.source("shop").submit([event()])
            station.processor.stop()
            for arguments in ([], ["--json"]):
                with open("/dev/full", "w", encoding="utf-8") as full:
                    done = subprocess.run(
                        [weir.BIN / "weir-processor", "verify", "--store", station.store, *arguments],
                        stdout=full, stderr=subprocess.PIPE, text=True, timeout=weir.LIMIT_SECONDS, check=False,
                    )
                self.assertEqual(done.returncode, 74, done.stderr)
                self.assertIn("cannot write the verdict", done.stderr)

    def test_a_store_without_a_log_is_an_error(self):
        code, out, error = self.verify(self.station.folder / "nowhere")
        self.assertEqual((code, out), (74, ""))
        self.assertIn("nowhere", error)

    # ---- what no processor writes ----

    def test_an_accepted_event_that_breaks_a_window(self):
        batches = self.small()
        index = self.with_both(batches)
        batch = batches[index]
        refused = batch.rejections()[0]
        accepted = weir.Accepted(
            batch.first_event_id + batch.event_count, batch.last_time, refused.source,
            refused.sequence, refused.evidence,
        )
        keep = [r for r in batch.records() if r.sequence < refused.sequence]
        forged = batch.with_records(keep + [accepted._replace(event_id=batch.first_event_id + len(keep))])
        forged = forged.with_rejections([])
        source = batch.source_records()[0]
        forged = forged.with_sources([[source[0], source[1], refused.sequence, []]])
        self.assert_found(self.forge(batches[:index] + [forged]), "decided again it is refused as rate_limited by policy few",
                          f"batch {batch.number}, event {batch.first_event_id + len(keep)}")
        code, report = self.report(self.station.store)
        self.assertRegex(report["violations"][1]["what"], "policy few has 6 units in one window")

    def test_a_refusal_that_should_have_been_accepted(self):
        batches = self.small()
        index = 2  # before any quota is full
        batch = batches[index]
        self.assertEqual(batch.rejection_count, 0)
        *records, last = batch.records()
        refusal = weir.Rejected(
            batch.first_rejection_id, batch.last_time, batch.first_event_id + len(records) - 1, "rate_limited", None,
            last.source, last.sequence, 1, last.event[1], last.event[2], "few", last.event[2], 1000, last.event,
        )
        source = batch.source_records()[0]
        forged = batch.with_records(records).with_rejections([refusal]).with_sources(
            [[source[0], source[1], last.sequence, [last.sequence, 1]]])
        self.assert_found(self.forge(batches[:index] + [forged]), "it would have been accepted",
                          f"batch {batch.number}, rejection {batch.first_rejection_id}")
        code, report = self.report(self.station.store)
        self.assertRegex(report["violations"][1]["what"], "but it fits")

    def test_a_record_that_tells_of_another_wait_policy_key_or_reason(self):
        batches = self.small()
        index = self.with_both(batches)
        batch = batches[index]
        first, *others = batch.rejections()
        for change, what in (
            ({"retry_after": first.retry_after + 1}, "refused with a wait of"),
            ({"retry_after": None}, "refused with no wait"),
            ({"policy": "fewer"}, "refused by policy fewer"),
            ({"key": "zzz"}, "for another key"),
            ({"reason": "invalid"}, "decided again it is rate_limited"),
            ({"evidence": event(subject="c")}, "it would have been accepted"),
        ):
            with self.subTest(change):
                forged = batch.with_rejections([first._replace(**change), *others])
                self.assert_found(self.forge(batches[:index] + [forged]), what,
                                  f"batch {batch.number}, rejection {first.rejection_id}")

    def test_a_time_that_goes_back(self):
        batches = self.small()
        batch = batches[2]
        first, *others = batch.records()
        forged = replace(batch, first_time=batch.first_time).with_records(
            [first, *(r._replace(accepted_at=r.accepted_at - 1) for r in others)])
        self.assert_found(self.forge(batches[:2] + [forged]), "before that of what stands before it",
                          f"batch {batch.number}, event {others[0].event_id}")
        earlier = replace(batch, first_time=batches[1].last_time - 1)
        self.assertEqual(self.report(self.forge(batches[:2] + [earlier] + batches[3:]))[0], 74, "a header is read with care")

    def test_a_hole_in_the_ids(self):
        batches = self.small()
        batch = batches[2]
        forged = batch.with_records([r._replace(event_id=r.event_id + 1) for r in batch.records()])
        self.assert_found(self.forge(batches[:2] + [forged]), "an event's id is not the next", f"batch {batch.number}")
        index = self.with_both(batches)
        batch = batches[index]
        forged = batch.with_rejections([r._replace(rejection_id=r.rejection_id + 1) for r in batch.rejections()])
        self.assert_found(self.forge(batches[:index] + [forged]), "a rejection's id is not the next", f"batch {batch.number}")

    def test_a_sequence_with_two_verdicts_and_one_without(self):
        batches = self.small()
        batch = batches[2]
        first, second, *others = batch.records()
        doubled = batch.with_records([first, second._replace(sequence=first.sequence), *others])
        self.assert_found(self.forge(batches[:2] + [doubled]), "has a verdict already", f"event {second.event_id}")
        skipped = batch.with_records([first, second._replace(sequence=second.sequence + 1), *others])
        self.assert_found(self.forge(batches[:2] + [skipped]), "is not the next", f"event {second.event_id}")

    def test_a_refused_sequence_without_a_record(self):
        batches = self.small()
        index = self.with_both(batches)
        batch = batches[index]
        forged = batch.with_rejections(batch.rejections()[:-1])
        self.assert_found(self.forge(batches[:index] + [forged]), "1 sequences were refused without a record",
                          f"batch {batch.number}$")

    def test_sources_that_do_not_agree_with_the_records(self):
        batches = self.small()
        batch = batches[2]
        name, epoch, last, runs = batch.source_records()[0]
        for forged, what in (
            ([], "is not among those of its batch"),
            ([[name, epoch, last + 1, runs]], "is not the next"),
            ([[name, epoch, last, [last + 1, 1]]], "cannot be read"),
            ([[name, epoch - 1, last, runs]], "the epoch of source shop goes back"),
        ):
            with self.subTest(what):
                self.assert_found(self.forge(batches[:2] + [batch.with_sources(forged)]), what, f"batch {batch.number}")

    def test_a_shadow_report_that_is_wrong_or_missing(self):
        batches = self.make(SHADOW, lambda station: station.source("shop").submit([event(subject=str(n)) for n in range(8)]))
        index = self.with_both(batches)
        batch = batches[index]
        first, *others = batch.rejections()
        self.assertEqual(first.reason, "shadow")
        missing = [r._replace(rejection_id=r.rejection_id - 1) for r in others]
        self.assert_found(self.forge(batches[:index] + [batch.with_rejections(missing)]),
                          "1 reports of shadow policies are missing", f"batch {batch.number}")
        wrong = [first._replace(retry_after=first.retry_after - 1), *others]
        self.assert_found(self.forge(batches[:index] + [batch.with_rejections(wrong)]),
                          "a shadow report that the event before it does not give", f"rejection {first.rejection_id}")

    def test_a_header_that_counts_wrong(self):
        batches = self.small()
        forged = replace(batches[2], event_count=batches[2].event_count + 1)
        self.assert_found(self.forge(batches[:2] + [forged]), "not those that its header counts", f"batch {batches[2].number}")

    def test_a_digest_that_is_not_that_of_the_state(self):
        batches = self.small()
        digest = bytes([batches[2].rest[0] ^ 1]) + batches[2].rest[1:]
        forged = batches[:2] + [replace(batches[2], rest=digest)] + batches[3:]
        self.assert_found(self.forge(forged), "the digest of the state behind it is", f"batch {batches[2].number}$")
        self.assertEqual(self.report(self.station.store)[1]["violation_count"], 1)

    def test_bytes_that_are_no_records(self):
        batches = self.small()
        index = self.with_both(batches)
        for part in ("sources", "accepted", "rejected"):
            with self.subTest(part):
                forged = replace(batches[index], **{part: b"\xc1" + getattr(batches[index], part)[1:]})
                self.assert_found(self.forge(batches[:index] + [forged]), "cannot be read", f"batch {batches[index].number}")

    def test_a_torn_end_is_no_violation(self):
        store = self.forge(self.small())
        path, = logfile.segments(store)
        data = path.read_bytes()
        end = len(data.rstrip(b"\0"))
        path.write_bytes(data[: end - 40] + bytes(len(data) - end + 40))
        code, out, error = self.verify(store)
        self.assertEqual(code, 0, out + error)
        self.assertIn("torn", error)
        shutil.rmtree(store)


if __name__ == "__main__":
    print(f"WEIR_SEED={SEED}")
    weir.main()
