"""Retention over the real processor: what is dropped is gone by name, ids go on, and the windows stay
exact, whatever is killed and whichever policies are set meanwhile.

Where the whole log is wanted although its beginning is dropped, each segment gets a second name in
another folder while it is there, so `verify` and the oracle decide all of it again from the genesis.

WEIR_ROUNDS: kills and changes under load (default 6).  WEIR_SEED (default 1).
"""

import json
import os
import random
import re
import shutil
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import logfile  # noqa: E402
import weir  # noqa: E402
from oracle import MS, Policy, check_log, policies_of, policy_text  # noqa: E402
from small_log import ONE_EACH, SEGMENT_BYTES, SMALL, STEP, fill, grow, place, segments, snapshots  # noqa: E402

HOUR = 3600 * weir.SECOND
KEEP_TWO = ("--retain-bytes", 2 * SEGMENT_BYTES)


def per_subject(window_ns, quota=30):
    return Policy("per-subject", "*", "subject", quota, window_ns, 1)


SHORT, LONG = [per_subject(20 * MS)], [per_subject(HOUR)]


def policy_set(control, policies):
    return control.request("policy", "set", policy_text(policies))[0][0]


class Whole:
    """A store that keeps what another one drops."""

    def __init__(self, station):
        self.station = station
        self.store = station.folder / "whole"
        (self.store / "log").mkdir(parents=True)

    def keep(self):
        for path in segments(self.station):
            name = self.store / "log" / path.name
            if not name.exists():
                os.link(path, name)

    def check(self, policies):
        """From the genesis: every verdict, twice; gives the state's digest at the end."""
        self.keep()
        code, out, error = self.station.run("processor", "verify", "--store", self.store, "--json",
                                            limit=10 * weir.LIMIT_SECONDS)
        assert code == 0, f"{out[:4000]}\n{error[-2000:]}"
        accepted, rejected = logfile.records(self.store)
        check_log(policies, accepted, rejected)
        return json.loads(out)["state_digest"], accepted, rejected


class Retention(unittest.TestCase):
    def station(self, policies, *arguments, **settings):
        station = weir.Station(policy=policy_text(policies), **settings)
        self.addCleanup(station.close)
        station.start_processor("--refusal-records", 2**31, *arguments)
        return station

    def restart(self, station, *arguments):
        """Without --policy: those in the log stay."""
        station.policy_arguments = []
        return station.start_processor("--refusal-records", 2**31, *arguments)

    def drop(self, station, source, number=1, each=lambda: None):
        """Until at least `number` more segments are dropped (KEEP_TWO); `each`: after each submission."""
        control = station.control()
        for _ in range(number):
            first = control.status()["first_event_id"]

            def dropped(first=first):
                fill(station, source, STEP, subjects=400)
                each()
                return control.status()["first_event_id"] > first

            weir.until(dropped, "an old segment to go")

    # ---- what is dropped ----

    def test_what_is_dropped_is_gone_by_name_and_ids_go_on(self):
        station = self.station([per_subject(20 * MS, 1)], *ONE_EACH, *KEEP_TWO)
        control, source = station.control(), station.source("s")
        self.drop(station, source, 2)
        self.assertGreaterEqual(len(segments(station)), 2)
        self.assertNotEqual(segments(station)[0].name, f"{0:020}.seg")
        before = place(control.status())
        station.processor.kill()
        self.restart(station, *ONE_EACH)  # nothing more is dropped
        control = station.control()
        status = control.status()
        self.assertEqual(place(status), before)
        first = status["first_event_id"]
        self.assertGreater(first, 1)
        self.assertEqual(status["first_policy"], status["genesis_policy"])
        for stream in ("accepted", "rejected"):
            with self.assertRaises(weir.ControlError) as refusal:
                control.replay(stream, 1)
            self.assertEqual(refusal.exception.code, "gone")
            first_id = status["first_event_id" if stream == "accepted" else "first_rejection_id"]
            self.assertIn(str(first_id), refusal.exception.text)
        self.assertEqual(control.replay("accepted", first)[1][0].event_id, first)
        for arguments in (("history", "--from", "#1"), ("state", "--at", "#1"),
                          ("state", "--at", f"#{first - 2}")):
            code, out, error = station.run("processor", arguments[0], "--store", station.store, *arguments[1:])
            self.assertEqual((code, out), (1, ""), error)
            self.assertIn("kept", error)
            self.assertRegex(error, rf"\b{first}\b")
        code, out, _ = station.run("processor", "state", "--store", station.store, "--at", f"#{first}")
        self.assertEqual(code, 0)
        self.assertIn(f"behind event #{first} ", out)
        fill(station, station.source("s"), STEP)
        after = control.replay("accepted", before[0] + 1)[1]
        self.assertEqual(after[0].event_id, before[0] + 1)

    def test_without_a_good_snapshot_at_the_beginning_the_start_is_refused(self):
        station = self.station(SHORT, *ONE_EACH, *KEEP_TWO, proves_log=False)
        self.drop(station, station.source("s"))
        station.processor.stop()
        shutil.rmtree(Path(station.store) / "snapshots")
        program = station.start_processor(*ONE_EACH, ready=False)
        program.expected_exits = {1}
        self.assertEqual(program.wait(), 1)
        self.assertIn("no longer kept", program.log_text())

    def test_a_log_whose_beginning_was_dropped_halfway_is_proved_from_the_oldest_snapshot(self):
        station = self.station(SHORT, *ONE_EACH)
        grow(station, station.source("s"), 4)
        status = station.control().status()
        station.processor.stop()
        numbers = [int(path.stem) for path in snapshots(station)]
        for path in segments(station):  # as a kill between two of them leaves it: no snapshot stands there
            if int(path.stem) < numbers[1]:
                path.unlink()
        snapshots(station)[1].unlink()
        code, out, error = station.run("processor", "verify", "--store", station.store, "--json")
        self.assertEqual(code, 0, out + error)
        result = json.loads(out)
        self.assertGreater(result["undecided"], 0)
        self.assertEqual(result["state_digest"], status["durable"]["state_digest"])
        self.assertEqual(result["events"] + result["undecided"] + result["rejections"], self.kept(station))
        self.assertRegex(error, "not proved: what is before the oldest good snapshot.*event_id=")
        self.restart(station, *ONE_EACH)
        self.assertEqual(place(station.control().status()), place(status))

    def kept(self, station):
        """Records in the segments that are there."""
        batches = logfile.read(station.store)
        return sum(batch.event_count + batch.rejection_count for batch in batches)

    def test_without_snapshots_nothing_could_go(self):
        with weir.Station() as station:
            code, _, error = station.run("processor", "run", "--store", station.store, "--snapshot-bytes", 0, *KEEP_TWO)
            self.assertEqual(code, 64)
            self.assertIn("need snapshots", error)

    def test_by_age(self):
        station = self.station(SHORT, *ONE_EACH, "--retain-for", "100ms")
        source, control = station.source("s"), station.control()
        self.drop(station, source)
        records = control.replay("accepted", control.status()["first_event_id"])[1]
        self.assertGreater(control.status()["now"], records[0].accepted_at)

    # ---- windows ----

    def test_windows_are_exact_over_drops_restarts_and_kills(self):
        policies = [per_subject(50 * MS, 3), Policy("all", "*", "global", 4000, 200 * MS, 1)]
        station = self.station(policies, *SMALL, *KEEP_TWO)
        whole, rng = Whole(station), random.Random(seed := weir.count("WEIR_SEED", 1))
        print(f"seed {seed}")
        source = station.source("s")
        for round in range(weir.count("WEIR_ROUNDS", 6)):
            for _ in range(rng.randrange(10, 30)):
                fill(station, source, STEP, rng.choice((50, 500)))
                whole.keep()
            before = place(station.control().status())
            if rng.random() < 0.7:
                station.processor.kill()
            else:
                station.processor.stop()
            self.restart(station, *SMALL, *KEEP_TWO)
            self.assertEqual(place(station.control().status()), before)
            source = station.source("s")
        self.drop(station, source, each=whole.keep)  # however far the snapshots had come
        status = station.control().status()
        station.processor.stop()
        digest, accepted, rejected = whole.check(policies)
        self.assertEqual(digest, status["durable"]["state_digest"])
        self.assertGreater(len(rejected), 0)
        self.assertEqual(accepted[-1].event_id, status["last_event_id"])

    # ---- other policies ----

    def test_a_window_that_reaches_back_to_what_is_gone_is_refused_while_it_runs_and_at_a_start(self):
        station = self.station(SHORT, *ONE_EACH, *KEEP_TWO)
        control = station.control()
        self.drop(station, station.source("s"))
        station.processor.stop()
        self.restart(station, *ONE_EACH)
        control = station.control()
        status = control.status()
        with self.assertRaises(weir.ControlError) as refusal:
            policy_set(control, LONG)
        self.assertEqual(refusal.exception.code, "invalid")
        for words in ("policy per-subject", "window of 1h", f"begins with event {status['first_event_id']},"):
            self.assertIn(words, refusal.exception.text)
        kept_s = int(re.search(r"at most (\d+)s", refusal.exception.text)[1])
        self.assertEqual(policies_of(control.request("policy", "get")[0][0]), SHORT)
        self.assertEqual(place(control.status()), place(status))
        fits = [per_subject(10 * MS), Policy("other", "*", "global", 10**6, kept_s * weir.SECOND or MS, 1)]
        self.assertEqual(policies_of(policy_set(control, fits)), fits)
        station.processor.stop()
        (station.folder / "policy.ini").write_text(policy_text(LONG))
        station.policy_arguments = ["--policy", station.folder / "policy.ini"]
        program = station.start_processor(*ONE_EACH, ready=False)
        program.expected_exits = {78}
        self.assertEqual(program.wait(), 78)
        self.assertIn("its window of 1h reaches back to what is no longer kept", program.log_text())
        self.restart(station, *ONE_EACH)
        self.assertEqual(policies_of(station.control().request("policy", "get")[0][0]), fits)

    def grown_with_a_long_policy_for_a_moment(self):
        """In the last segment: a longer window, and the short one again."""
        station = self.station(SHORT, *ONE_EACH)
        source = station.source("s")
        grow(station, source, 4)
        control = station.control()
        policy_set(control, LONG)
        fill(station, source, STEP)
        policy_set(control, SHORT)
        changed = control.status()["last_event_id"]
        station.processor.kill()
        return station, changed

    def test_what_a_change_behind_the_older_snapshot_needs_is_kept(self):
        station, _ = self.grown_with_a_long_policy_for_a_moment()
        self.restart(station, *ONE_EACH, *KEEP_TWO)
        grow(station, station.source("s"), 1)
        before = place(station.control().status())
        station.processor.stop()  # retention has had its turn behind the new snapshot
        newest = snapshots(station)[-1]
        newest.write_bytes(newest.read_bytes()[:-3])
        self.restart(station, *ONE_EACH, *KEEP_TWO)  # comes upon both changes
        self.assertEqual(place(station.control().status()), before)
        self.drop(station, station.source("s"))  # now they are behind it, and it goes on

    def test_what_cannot_be_decided_again_is_said(self):
        """Windows of a change that need what was dropped behind two snapshots: gone up to the next."""
        station, changed = self.grown_with_a_long_policy_for_a_moment()
        self.restart(station, *ONE_EACH)
        grow(station, station.source("s"), 3)
        station.processor.stop()
        behind = json.loads(self.state(station, f"#{changed}"))
        self.restart(station, *ONE_EACH, "--retain-bytes", 5 * SEGMENT_BYTES)
        grow(station, station.source("s"), 1)
        control = station.control()
        weir.until(lambda: control.status()["first_event_id"] > 1, "old segments to go")
        status = control.status()
        self.assertLess(status["first_event_id"], changed)
        station.processor.stop()
        self.assertEqual(behind["event_id"], changed)
        code, _, error = station.run("processor", "state", "--store", station.store, "--at", f"#{changed}")
        self.assertEqual(code, 1)
        self.assertIn("changed the policies: policy per-subject: its window of 1h reaches back", error)
        self.assertEqual(json.loads(self.state(station, f"#{status['last_event_id']}"))["digest"],
                         status["durable"]["state_digest"])
        code, out, error = station.run("processor", "verify", "--store", station.store, "--json")
        self.assertEqual(code, 0, out)
        result = json.loads(out)
        self.assertGreater(result["undecided"], 0)
        self.assertEqual(result["state_digest"], status["durable"]["state_digest"])
        self.assertRegex(error, "not decided again: a change of the policies.*event_id=")

    def state(self, station, at):
        code, out, error = station.run("processor", "state", "--store", station.store, "--at", at, "--json")
        self.assertEqual(code, 0, error)
        return out

    def test_policies_set_under_load_while_segments_are_dropped(self):
        rng = random.Random(seed := weir.count("WEIR_SEED", 1))
        print(f"seed {seed}")
        first = [per_subject(20 * MS, 3)]
        station = self.station(first, *SMALL, *KEEP_TWO)
        whole, source = Whole(station), station.source("s")
        done = refused = 0
        for _ in range(weir.count("WEIR_ROUNDS", 6)):
            control = station.control()
            for _ in range(rng.randrange(10, 25)):
                source.send([weir.event(subject=f"s-{i % 300}", data={"padding": "x" * 400}) for i in range(STEP)])
                windows = [5 * MS, 50 * MS, 500 * MS]
                if dropped := control.status()["first_event_id"] > 1:
                    windows.append(HOUR)  # the log is younger: never possible again
                wanted = [per_subject(rng.choice(windows), rng.choice((3, 30)))]
                try:
                    self.assertEqual(policies_of(policy_set(control, wanted)), wanted)
                    self.assertTrue(not dropped or wanted[0].window_ns < HOUR)
                    done += 1
                except weir.ControlError as error:
                    self.assertEqual(error.code, "invalid")
                    self.assertIn("reaches back", error.text)
                    refused += 1
                source.wait()
                whole.keep()
            station.processor.kill()
            self.restart(station, *SMALL, *KEEP_TWO)
            source = station.source("s")
        self.drop(station, source, each=whole.keep)  # however far the snapshots had come
        status = station.control().status()
        print(f"{done} changes, {refused} reached too far, first event {status['first_event_id']}")
        self.assertGreater(done, 0)
        station.processor.stop()
        digest, _, _ = whole.check(first)
        self.assertEqual(digest, status["durable"]["state_digest"])


if __name__ == "__main__":
    weir.main()
