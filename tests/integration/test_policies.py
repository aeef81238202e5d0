"""Policies set while events flow: exact at every moment, durable when answered, the same after a kill.

What is in force stands in the log as events, so the oracle decides every event again under the
policy of its moment. A restart folds the log and compares the state's digest batch by batch, so a
processor that comes up again has proved that its windows are those of the one that was killed.

WEIR_EVENTS: of the load (default 60000).  WEIR_SEED (default 1).
"""

import random
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402
from oracle import MS, Policy, check_log, policies_of, policy_text  # noqa: E402

HOUR = 3600 * weir.SECOND


def per_source(quota, window_ns=HOUR, **settings):
    return Policy("per-source", "*", "source", quota, window_ns, 1)._replace(**settings)


def policy_get(control):
    return control.request("policy", "get")[0][0]


def policy_set(control, policies):
    """Sets them, and gives the text in force; asks again while another change is under way."""
    while True:
        try:
            return control.request("policy", "set", policy_text(policies))[0][0]
        except weir.ControlError as error:
            if error.code != "unavailable":
                raise


def accepted_of(source, number):
    """How many of `number` events are accepted."""
    return number - len(source.submit([weir.event() for _ in range(number)]))


class Policies(unittest.TestCase):
    def station(self, policies, *arguments):
        station = weir.Station(policy=policy_text(policies))
        self.addCleanup(station.close)
        station.start_processor(*arguments)
        return station

    def restart_without_policy(self, station):
        station.policy_arguments = []
        station.start_processor()

    def test_from_100_to_10_and_back_within_one_window_refills_nothing(self):
        station = self.station([per_source(100)])
        control, source = station.control(), station.source("s")
        self.assertEqual(accepted_of(source, 60), 60)
        policy_set(control, [per_source(10)])
        self.assertEqual(accepted_of(source, 5), 0)
        policy_set(control, [per_source(100)])
        self.assertEqual(accepted_of(source, 60), 40)

    def test_lowered_raised_widened_and_a_new_key_count_what_came_before(self):
        station = self.station([per_source(10, 50 * MS)])
        control, source = station.control(), station.source("s")
        self.assertEqual(accepted_of(source, 8), 8)
        time.sleep(0.1)  # more than the window: only a wider one still holds them
        policy_set(control, [per_source(10)])
        self.assertEqual(accepted_of(source, 5), 2)
        by_subject = Policy("per-subject", "*", "subject", 12, HOUR, 1)
        policy_set(control, [by_subject])
        self.assertEqual(accepted_of(source, 5), 2)
        policy_set(control, [])
        self.assertEqual(policy_get(control), "")
        self.assertEqual(accepted_of(source, 5), 5)
        policy_set(control, [by_subject])  # taken away and added again: as if it had been there
        self.assertEqual(accepted_of(source, 5), 0)

    def test_from_shadow_to_enforce_and_back(self):
        station = self.station([per_source(3, mode="shadow")])
        control, source = station.control(), station.source("s")
        self.assertEqual(accepted_of(source, 7), 7)
        policy_set(control, [per_source(3)])
        self.assertEqual(accepted_of(source, 2), 0)
        policy_set(control, [per_source(3, mode="shadow")])
        self.assertEqual(accepted_of(source, 2), 2)
        self.assertEqual([r.reason for r in control.replay_all("rejected")].count("shadow"), 4 + 2)

    def test_get_and_set_answer_the_canonical_text_and_an_equal_one_makes_no_event(self):
        station = self.station([per_source(5)])
        control = station.control()
        first = policy_get(control)
        self.assertEqual(policies_of(first), [per_source(5)])
        self.assertEqual(control.request("policy", "set", "; as it is\n" + policy_text([per_source(5)]))[0][0], first)
        self.assertEqual(control.status()["last_event_id"], 0)
        text = policy_set(control, [per_source(6)])
        status = control.status()
        self.assertEqual((status["last_event_id"], status["policy"]), (1, text))
        self.assertEqual(status["policies"][0]["quota"], 6)
        (record,) = control.replay_all("accepted")
        self.assertEqual((record.source, record.sequence), ("weir", 0))
        self.assertEqual(record.event[1:3], ["weir.policy_changed", "policy"])
        self.assertEqual(record.event[4], {"text": text, "by": "control"})

    def refused(self, control, text, code, *words):
        before = policy_get(control)
        with self.assertRaises(weir.ControlError) as caught:
            control.request("policy", "set", text)
        self.assertEqual(caught.exception.code, code, caught.exception)
        for word in words:
            self.assertIn(word, caught.exception.text)
        self.assertEqual(policy_get(control), before)

    def test_what_cannot_be_is_invalid_and_changes_nothing(self):
        station = self.station([per_source(100)])
        control, source = station.control(), station.source("s")
        self.assertEqual(accepted_of(source, 20), 20)
        good = policy_text([per_source(5)])
        self.refused(control, good + "qouta = 5\n", "invalid", "policy:8", "qouta")
        self.refused(control, "nonsense\n", "invalid", "policy:1")
        self.refused(control, good + "\0", "invalid")
        self.refused(control, "; " + "x" * 40000, "invalid", "32767")
        self.refused(control, good + "max_units = 10\n", "invalid", "per-source", "max_units")
        last = control.status()["last_event_id"]
        self.assertEqual(last, 20)
        self.assertEqual(accepted_of(source, 100), 80)

    def test_a_later_start_keeps_what_was_set_and_another_policy_replaces_it(self):
        station = self.station([per_source(5)])
        arguments = station.policy_arguments
        text = policy_set(station.control(), [per_source(7)])
        station.processor.stop()
        self.restart_without_policy(station)
        self.assertEqual(policy_get(station.control()), text)
        station.processor.stop()
        station.policy_arguments = arguments
        station.start_processor()
        self.assertEqual(policies_of(policy_get(station.control())), [per_source(5)])
        self.assertRegex(station.processor.log_text(), "level=warn .*replaces")

    def test_under_load_every_moment_is_exact_and_the_limits_view_follows(self):
        seed = weir.count("WEIR_SEED", 1)
        rng = random.Random(seed)
        print(f"seed {seed}")
        first = [per_source(50, 100 * MS)]
        station = self.station(first, "--refusal-records", 2**31)
        projector = station.start_projector()
        control = station.control()
        load = station.start_producer(
            "generate", "--rate", 0, "--count", weir.count("WEIR_EVENTS", 60000), "--sources", 20, "--batch", 16
        )
        changes = 0
        while load.running() or changes < 2:
            policies = [per_source(rng.choice((5, 50, 500)), rng.choice((10, 100, 1000)) * MS,
                                   mode=rng.choice(("enforce", "enforce", "shadow")))]
            if rng.random() < 0.5:
                policies.append(Policy("all", "order.*", "global", rng.choice((100, 1000)), 200 * MS, 1))
            text = policy_set(control, policies)
            self.assertEqual(policies_of(text), policies)
            changes += 1
            time.sleep(0.01)
        load.wait()
        accepted, rejected = control.replay_all("accepted"), control.replay_all("rejected")
        check_log(first, accepted, rejected, f"(seed {seed})")
        query = station.query()
        view = weir.until(
            lambda: (lambda v: v if v["event_id"] == len(accepted) else None)(query.view("limits")), "limits")
        named = {row["policy"] for row in view["rows"]}
        self.assertLessEqual(named, {"per-source", "all"})
        refused = sum(row["refused"] for row in view["rows"])
        self.assertEqual(refused, sum(r.reason == "rate_limited" for r in rejected))
        pauses = [float(line.split("paused_ms=")[1].split()[0])
                  for line in station.processor.log_text().splitlines() if "paused_ms=" in line]
        print(f"{len(accepted)} accepted, {len(rejected)} refused, {changes} changes, longest pause {max(pauses)} ms")
        station.processor.kill()
        self.restart_without_policy(station)  # compares the digests of all batches
        self.assertEqual(projector.running(), True)

    def test_kill_right_behind_the_answer_keeps_the_change(self):
        station = self.station([per_source(50)])
        source = station.source("s")
        self.assertEqual(accepted_of(source, 30), 30)
        for quota in (20, 60, 40):
            text = policy_set(station.control(), [per_source(quota)])
            station.processor.kill()
            self.restart_without_policy(station)
            control = station.control()
            self.assertEqual(policy_get(control), text)
            weir.until(lambda: [(p["quota"], p["units"]) for p in control.status()["policies"]] == [(quota, 30)],
                       "30 units in the window")
        self.assertEqual(accepted_of(station.source("s"), 30), 10)

    def test_kill_while_the_windows_are_filled_leaves_one_of_the_two(self):
        station = self.station([per_source(10**6, 10 * MS)])
        load = station.start_producer("generate", "--rate", 0, "--count", 50000, "--sources", 20)
        load.wait()
        for round in range(5):
            control = station.control()
            before = policy_get(control)
            control.socket.send_multipart([b"x", weir.pack([1, "policy", "set", policy_text(
                [per_source(1000 + round, HOUR)])])])
            time.sleep(0.004 * round)
            station.processor.kill()
            self.restart_without_policy(station)
            after = policy_get(station.control())
            self.assertTrue(after == before or policies_of(after) == [per_source(1000 + round, HOUR)], after)

    def test_one_change_at_a_time_and_hellos_are_not_held_up(self):
        station = self.station([per_source(10**6, 10 * MS)])
        load = station.start_producer("generate", "--rate", 0, "--count", 50000, "--sources", 20)
        load.wait()
        control = station.control()
        for number in range(20):
            control.socket.send_multipart([b"c%d" % number, weir.pack([1, "policy", "set", policy_text(
                [per_source(1000 + number, HOUR)])])])
        verdicts = [weir.unpack(control.socket.recv_multipart()[1])[1:] for _ in range(20)]
        done = [v for v in verdicts if v[0] == "ok"]
        self.assertGreaterEqual(len(done), 1)
        for verdict in verdicts:
            if verdict[0] == "error":
                self.assertEqual(verdict[1], "unavailable")
        self.assertEqual(control.status()["last_event_id"],
                         50000 + len(done))
        self.assertEqual(control.hello("somebody").epoch, 1)

    def test_the_example_shows_and_sets(self):
        station = self.station([per_source(5)])
        example = weir.ROOT / "docs/examples/policy.py"

        def run(*arguments, text=None):
            return subprocess.run([example, station.run_dir, *arguments], input=text, text=True, capture_output=True,
                                  timeout=weir.LIMIT_SECONDS)

        self.assertEqual(run().stdout, policy_get(station.control()))
        done = run("-", text=policy_text([per_source(9)]))
        self.assertEqual(policies_of(done.stdout), [per_source(9)])
        self.assertEqual(run().stdout, done.stdout)
        wrong = run("-", text="nonsense")
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("invalid: policy:1", wrong.stderr)


if __name__ == "__main__":
    weir.main()
