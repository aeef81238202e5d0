"""Offline: a recorded file decided by its events' own times.

The same file gives the same records, byte for byte, in one run or in many, killed or not; and an
oracle that knows nothing but docs/protocol.md finds every verdict right.

WEIR_SEED: of the random files (default: printed).  WEIR_KILLS: kills of one batch (default 6).
"""

import array
import fcntl
import json
import os
import random
import shutil
import sys
import termios
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import logfile  # noqa: E402
import weir  # noqa: E402
from oracle import POLICY_SETS, check_log, policy_text  # noqa: E402
from small_log import place, snapshots  # noqa: E402

SECOND = weir.SECOND
LIMIT = ("--limit", '"few";q=2;w=60;pk=subject')
SEED = weir.count("WEIR_SEED", random.SystemRandom().randrange(1 << 32))


def rfc3339(ns):
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ns // SECOND))
    return f"{whole}.{ns % SECOND:09}Z"


def line(at_ns, source="shop", type="order.created", subject="s", data=None, **members):
    event = {"source": source, "type": type, "subject": subject, "time": rfc3339(at_ns), "data": data or {}}
    event.update(members)
    return json.dumps({name: value for name, value in event.items() if value is not None})


def random_lines(rng, number, step_ns, late=0.05):
    """Lines over a few keys whose times mostly go up."""
    at, lines = 1_000_000 * SECOND, []
    for _ in range(number):
        at += rng.choice((0, 0, 0, 1, step_ns, rng.randrange(4 * step_ns)))
        own = at - rng.randrange(10 * step_ns) if rng.random() < late else at
        tenant = rng.randrange(3)
        lines.append(line(
            own, source=f"source-{rng.randrange(3)}", subject=f"subject-{rng.randrange(4)}",
            type=rng.choice(("order.created", "order.paid", "user.created")),
            data={"units": rng.choice((0, 1, 1, 1, 2, 3, 7, 50)), "tenant": f"tenant-{tenant}",
                  "card": {"tenant": tenant - 1}},
        ))
    return lines


def parts(store):
    """What two stores of the same decisions share: all bytes of the records, whatever the batches."""
    batches = logfile.read(store)
    return b"".join(b.accepted for b in batches), b"".join(b.rejected for b in batches)


class Batch(unittest.TestCase):
    def setUp(self):
        self.station = weir.Station()
        self.addCleanup(self.station.close)

    def file(self, lines, name="events.jsonl"):
        path = self.station.folder / name
        path.write_text("".join(f"{text}\n" for text in lines))
        return path

    def batch(self, path, *arguments, store=None, input=None):
        return self.station.run(
            "processor", "batch", path, "--store", store or self.station.store, *arguments, input=input
        )

    def assert_batch(self, code, words, path, *arguments, store=None, input=None):
        got, out, error = self.batch(path, *arguments, store=store, input=input)
        self.assertEqual(got, code, out + error)
        for word in words:
            self.assertIn(word, out + error)
        return out

    def test_events_are_decided_by_their_own_times(self):
        path = self.file(line(at * SECOND) for at in (1, 2, 3, 61, 62, 62, 63))
        self.assert_batch(2, ["4 accepted, 3 refused (rate_limited 3)"], path, *LIMIT)
        accepted, rejected = logfile.records(self.station.store)
        self.assertEqual([r.accepted_at // SECOND for r in accepted], [1, 2, 61, 62])
        self.assertEqual(
            [(r.rejected_at // SECOND, r.retry_after // SECOND, r.sequence) for r in rejected],
            [(3, 58, 3), (62, 59, 6), (63, 58, 7)],
        )

    def test_late_events_get_the_last_stamp_and_are_counted(self):
        path = self.file([line(10 * SECOND), line(9 * SECOND, subject="a"), line(11 * SECOND, subject="b")])
        self.assert_batch(0, ["3 accepted, 0 refused, 1 late"], path)
        accepted, _ = logfile.records(self.station.store)
        self.assertEqual([r.accepted_at for r in accepted], [10 * SECOND, 10 * SECOND, 11 * SECOND])
        self.assertEqual(accepted[1].event[0], 9 * SECOND, "the event itself stays as it was")

    def test_the_same_file_gives_the_same_records_and_the_oracle_agrees(self):
        for number, policies in enumerate(POLICY_SETS):
            with self.subTest(policies=number, seed=SEED):
                rng = random.Random(SEED + number)
                step = min(p.window_ns for p in policies if p.window_ns > 1) // 20
                path = self.file(random_lines(rng, 4000, step), f"{number}.jsonl")
                policy = self.station.folder / f"{number}.ini"
                policy.write_text(policy_text(policies))
                stores = [self.station.folder / f"store-{number}-{copy}" for copy in range(2)]
                for store in stores:
                    self.assert_batch(2, ["accepted"], path, "--policy", policy, store=store)
                self.assertEqual(parts(stores[0]), parts(stores[1]))
                accepted, rejected = logfile.records(stores[0])
                self.assertEqual(len(accepted) + len(rejected), 4000)
                self.assertGreater(len(rejected), 400)
                check_log(policies, accepted, rejected, f"(seed {SEED + number})")

    def test_the_first_moment_of_all_counts_as_any_other(self):
        path = self.file([line(0, subject="a") for _ in range(3)])
        self.assert_batch(0, ["3 accepted"], path, "--limit", '"few";q=5;w=60;pk=subject')
        code, out, error = self.station.run("processor", "state", "--store", self.station.store, "--key", "a")
        self.assertEqual((code, error), (0, ""))
        self.assertIn("3 of 5 units", out)
        self.assertIn("filled by #1 #2 #3", out)
        path = self.file([line(0, subject="a") for _ in range(3)] + [line(5 * SECOND, subject="a") for _ in range(2)])
        self.assert_batch(2, ["1 accepted, 1 refused"], path, "--limit", '"other";q=4;w=60;pk=subject')
        code, out, error = self.station.run("processor", "verify", "--store", self.station.store)
        self.assertEqual((code, error), (0, ""), out)

    def test_a_file_that_is_decided_again_decides_nothing(self):
        lines = [line(at * SECOND, subject=str(at)) for at in range(1, 6)]
        path = self.file(lines)
        self.assert_batch(0, ["5 accepted"], path, *LIMIT)
        before = parts(self.station.store)
        self.assert_batch(0, ["nothing to decide: all 5 lines were decided before"], path)
        self.assertEqual(parts(self.station.store), before)
        self.file(lines + [line(9 * SECOND, subject="new")])
        self.assert_batch(0, ["1 accepted, 0 refused"], path)
        accepted, _ = logfile.records(self.station.store)
        self.assertEqual([r.sequence for r in accepted], [1, 2, 3, 4, 5, 6])

    def test_whose_events_they_are_must_be_known(self):
        lines = [line(at * SECOND, subject=str(at)) for at in range(1, 4)]
        path = self.file(lines)
        self.assert_batch(0, ["3 accepted"], path)
        self.file([line(7 * SECOND)] + lines[1:])
        self.assert_batch(65, ["its beginning changed", "--append", "--source"], path)
        self.file(lines[:2])
        self.assert_batch(65, ["it became shorter", "--append", "--source"], path)
        other = self.file(lines, "other.jsonl")
        self.assert_batch(65, ["source 'shop' already has 3 events", "--append", "--source"], other)
        self.assert_batch(0, ["3 accepted, 0 refused, 2 late"], other, "--append")
        self.assert_batch(0, ["3 accepted"], other, "--source", "another")
        accepted, _ = logfile.records(self.station.store)
        self.assertEqual(
            [(r.source, r.sequence) for r in accepted],
            [("shop", n) for n in range(1, 7)] + [("another", n) for n in (1, 2, 3)],
        )

    def test_a_stream_goes_on_from_the_last_sequence(self):
        for first in (1, 3):
            text = "".join(line((first + n) * SECOND) + "\n" for n in range(2))
            self.assert_batch(0, ["2 accepted"], "-", input=text)
        accepted, _ = logfile.records(self.station.store)
        self.assertEqual([r.sequence for r in accepted], [1, 2, 3, 4])

    def test_bad_lines_are_named_and_the_others_decided(self):
        path = self.file([
            line(1 * SECOND), "no JSON", "", line(2 * SECOND, source=None), line(3 * SECOND, time=None),
            "x" * (1 << 20) + "x", line(4 * SECOND),
        ])
        out = self.assert_batch(65, [
            f"{path}:2: column", f"{path}:4: source: missing", f"{path}:5: time: is missing",
            f"{path}:6: longer than 1 MiB",
        ], path)
        self.assertIn("2 accepted, 0 refused, 4 bad lines", out)
        accepted, _ = logfile.records(self.station.store)
        self.assertEqual([(r.sequence, r.accepted_at // SECOND) for r in accepted], [(1, 1), (2, 4)])

    def test_a_field_that_a_policy_needs_and_does_not_find_is_a_refusal(self):
        path = self.file([line(1 * SECOND, data={"units": 1}), line(2 * SECOND), line(3 * SECOND, data={"units": 2})])
        self.assert_batch(2, ["1 accepted, 2 refused (rate_limited 1, invalid 1)"], path,
                          "--limit", '"units";q=2;w=60;cost=data.units')
        _, rejected = logfile.records(self.station.store)
        self.assertEqual([(r.reason, r.sequence) for r in rejected], [("invalid", 2), ("rate_limited", 3)])

    def test_other_policies_come_into_force_at_the_logs_last_time(self):
        self.assert_batch(2, [], self.file([line(at * SECOND) for at in (1, 2, 3)]), *LIMIT)
        more = self.file([line(at * SECOND) for at in (4, 5)], "more.jsonl")
        self.assert_batch(2, ["1 accepted, 1 refused"], more, "--append", "--limit", '"few";q=3;w=60;pk=subject')
        accepted, rejected = logfile.records(self.station.store)
        self.assertEqual(
            [(r.accepted_at // SECOND, r.event[1]) for r in accepted],
            [(1, "order.created"), (2, "order.created"), (3, "weir.policy_changed"), (4, "order.created")],
        )
        self.assertEqual([r.rejected_at // SECOND for r in rejected], [3, 5])

    def test_a_store_in_use_is_left_alone(self):
        self.station.start_processor()
        path = self.file([line(1 * SECOND)])
        self.assert_batch(75, [str(self.station.processor.pid)], path)

    def test_wrong_usage(self):
        path = self.file([line(1 * SECOND)])
        self.assertEqual(self.station.run("processor", "batch", path)[0], 64)
        self.assert_batch(64, ["exclude each other"], path, *LIMIT, "--policy", "p.ini")
        self.assert_batch(64, ["--source"], path, "--source", "a b")
        self.assert_batch(65, ["nowhere"], self.station.folder / "nowhere")
        self.assertFalse(self.station.store.exists(), "nothing was touched")

    def test_a_processor_goes_on_where_the_file_ended(self):
        future = time.time_ns() + 3600 * SECOND
        path = self.file([line(future), line(future + SECOND)])
        self.assert_batch(0, ["2 accepted"], path, *LIMIT)
        processor = self.station.start_processor()
        self.assertRegex(processor.log_text(), "level=warn .*last time lies in the future")
        source = self.station.source("shop")
        self.assertEqual(source.last_sequence, 2)
        self.assertEqual([v[:2] for v in source.submit([weir.event()]).values()], [("rate_limited", "few")])
        record = self.station.control().replay_all("rejected")[0]
        self.assertGreaterEqual(record.rejected_at, future + SECOND)

    def check_interrupted(self, stop):
        """Decides a file in pieces and in one; the records are the same bytes."""
        rng = random.Random(SEED)
        path = self.file(random_lines(rng, 60_000, 1_000_000))
        whole, pieces = self.station.folder / "whole", self.station.folder / "pieces"
        policy = self.station.folder / "policy.ini"
        policy.write_text(policy_text(POLICY_SETS[0]))
        self.assert_batch(2, [], path, "--policy", policy, store=whole)
        interrupted = 0
        for _ in range(weir.count("WEIR_KILLS", 6)):
            program = self.station.start("processor", "batch", path, "--store", pieces, "--policy", policy)
            program.expected_exits = {0, 2, 75, -9}
            size = sum(len(part) for part in parts(pieces)) if pieces.exists() else 0
            weir.until(lambda: not program.running() or (pieces / "log").exists(), "the log")
            time.sleep(rng.random() * 0.15)
            stop(program)
            code = program.wait()
            self.assertIn(code, program.expected_exits, program.log_text())
            interrupted += code in (75, -9)
            if code == 75 and "stopped behind" in program.log_text():
                self.assertGreaterEqual(sum(len(part) for part in parts(pieces)), size)
        code, out, error = self.batch(path, "--policy", policy, store=pieces)
        self.assertIn(code, (0, 2), error)
        self.assertEqual(parts(pieces), parts(whole), f"seed {SEED}")
        print(f"interrupted {interrupted} times")
        self.assert_batch(0, ["nothing to decide"], path, store=pieces)

    def test_a_batch_that_is_killed_goes_on(self):
        self.check_interrupted(lambda program: program.kill())

    def test_a_batch_that_is_stopped_goes_on(self):
        self.check_interrupted(lambda program: program.signal(15))

    def test_a_stop_while_a_stream_pauses_keeps_what_came(self):
        reading, writing = os.pipe()
        program = self.station.start("processor", "batch", "-", "--store", self.station.store, stdin=reading)
        program.expected_exits = {75}
        os.close(reading)
        self.addCleanup(os.close, writing)
        os.write(writing, (line(1 * SECOND) + "\n").encode())
        left = array.array("i", [1])

        def taken():
            fcntl.ioctl(writing, termios.FIONREAD, left)
            return left[0] == 0

        weir.until(taken, "the line to be read")
        program.signal(15)
        self.assertEqual(program.wait(), 75, program.log_text())
        self.assertIn("stopped behind line", program.log_text())
        accepted, _ = logfile.records(self.station.store)
        self.assertIn(f"{len(accepted)} accepted", program.out_text())

    def test_a_large_batch_leaves_the_snapshots_that_a_processor_would_have(self):
        padding = "x" * 48_000
        lines = [line(n * SECOND, subject=f"s-{n % 7}", data={"padding": padding}) for n in range(1, 1601)]
        path = self.station.folder / "large.jsonl"
        path.write_text("\n".join(lines) + "\n")
        code, out, err = self.station.run("processor", "batch", path, "--store", self.station.store,
                                          "--limit", '"p";q=3;w=9;pk=subject')
        self.assertEqual(code, 0, err)
        self.assertGreaterEqual(len(snapshots(self.station)), 3)
        program = self.station.start_processor()
        self.assertIn("folding on from a snapshot", program.log_text())
        after = place(self.station.control().status())
        self.assertEqual(after[0], len(lines))
        program.stop()
        shutil.rmtree(self.station.store / "snapshots")
        self.station.start_processor()
        self.assertEqual(place(self.station.control().status()), after)


if __name__ == "__main__":
    print(f"WEIR_SEED={SEED}")
    weir.main()
