"""Exact both ways: an oracle that reads only what is published.

Seeded schedules of weighted events are submitted against policies with windows of a nanosecond to
an hour. Then the whole log is read back through `replay`, accepted events and refusals are merged by
`after_event_id`, and a window check written here from docs/protocol.md decides each event again:
nothing over quota, nothing refused that would have fitted, and every refusal names the right
policy, key and wait.

WEIR_SEEDS: number of schedules (default 25).  WEIR_SEED: the first of them (default 1).
"""

import collections
import random
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402
from oracle import MS, POLICY_SETS, check_log, policy_text  # noqa: E402

SEEDS_AT_ONCE = 5
STEPS_PER_SEED = 25


class Schedule:
    """What one seed submits: steps of (pause before it, events)."""

    def __init__(self, seed, policies):
        self.random = random.Random(seed)
        self.name = f"seed-{seed}"
        self.seed = seed
        windows = [policy.window_ns for policy in policies if policy.window_ns < weir.SECOND]
        self.steps = [
            (self.pause(windows), [self.event() for _ in range(self.random.choice((1, 3, 8, 30)))])
            for _ in range(STEPS_PER_SEED)
        ]

    def pause(self, windows):
        """Often nothing, often about a whole window: just before, at and just behind its edge."""
        if self.random.random() < 0.6:
            return 0
        nudge = self.random.choice((-300_000, -50_000, 0, 50_000, 300_000))
        return max(0, self.random.choice(windows) + nudge) // self.random.choice((1, 1, 2, 8))

    def event(self):
        tenant = self.random.randrange(3)
        return weir.event(
            type=self.random.choice(("order.created", "order.paid", "user.created")),
            subject=f"{self.seed % 7}-{self.random.randrange(4)}",
            data={
                "units": self.random.choice((0, 1, 1, 1, 2, 3, 7, 50)),
                "tenant": f"tenant-{tenant}",
                "card": {"tenant": tenant - 1},
            },
        )


def submit_all(station, schedules, between):
    """Interleaves the schedules in real time; calls between() halfway."""
    sources = {schedule.name: station.source(schedule.name) for schedule in schedules}
    start = time.monotonic_ns()
    queue = []
    for schedule in schedules:
        at = 0
        for pause, events in schedule.steps:
            at += pause
            queue.append((at, schedule.name, events))
    queue.sort(key=lambda step: step[0])
    for number, (at, name, events) in enumerate(queue):
        if number == len(queue) // 2 and between:
            for source in sources.values():
                source.wait()
            between()
            for source in list(sources):
                sources[source].close()
                sources[source] = station.source(source)
        while time.monotonic_ns() - start < at:
            time.sleep(0)
        sources[name].send(events)
    for source in sources.values():
        source.wait()
        source.close()


class Exactness(unittest.TestCase):
    def run_seeds(self, policies, seeds, between_of):
        """Runs schedules against one processor and gives (accepted, refused) numbers."""
        with weir.Station(policy=policy_text(policies)) as station:
            station.start_processor()
            groups = [seeds[at : at + SEEDS_AT_ONCE] for at in range(0, len(seeds), SEEDS_AT_ONCE)]
            for number, group in enumerate(groups):
                between = between_of(station) if number % 3 == 1 or len(groups) == 1 else None
                submit_all(station, [Schedule(seed, policies) for seed in group], between)
            control = station.control()
            accepted = control.replay_all("accepted")
            rejected = control.replay_all("rejected")
        check_log(policies, accepted, rejected, f"(seeds from {seeds[0]})")
        self.check_complete(policies, seeds, accepted, rejected)
        return len(accepted), len(rejected)

    def check_complete(self, policies, seeds, accepted, rejected):
        """Every submitted event has one verdict and stands where it was sent."""
        verdicts = {(r.source, r.sequence): r.event for r in accepted}
        verdicts.update({(r.source, r.sequence): r.evidence for r in rejected})
        self.assertEqual(len(verdicts), len(accepted) + len(rejected))
        for seed in seeds:
            events = [event for _, events in Schedule(seed, policies).steps for event in events]
            for sequence, event in enumerate(events, 1):
                self.assertEqual(verdicts.pop((f"seed-{seed}", sequence)), event)
        self.assertEqual(verdicts, {})

    def test_nothing_over_quota_and_nothing_refused_that_would_have_fitted(self):
        seeds = weir.count("WEIR_SEEDS", 25)
        first = weir.count("WEIR_SEED", 1)
        totals = [0, 0]

        def restart(station):
            def between():  # no amnesty: alternately a clean stop and a kill -9
                if len(station.programs) % 2:
                    station.processor.stop()
                else:
                    station.processor.kill()
                station.start_processor()

            return between

        for number, policies in enumerate(POLICY_SETS):
            mine = list(range(first + number, first + seeds, len(POLICY_SETS)))
            if not mine:
                continue
            got = self.run_seeds(policies, mine, restart)
            totals = [total + more for total, more in zip(totals, got)]
        share = totals[1] / sum(totals)
        print(f"{seeds} seeds from {first}: {totals[0]} accepted, {totals[1]} refused ({share:.0%})")
        self.assertGreaterEqual(share, 0.3)

    def test_what_was_refused_fits_after_the_wait_it_was_told(self):
        with weir.Station(limits=['"one";q=1;wms=100;pk=subject']) as station:
            station.start_processor()
            source = station.source("patient")
            self.assertEqual(source.submit([weir.event()]), {})
            for _ in range(10):
                refused = source.submit([weir.event()])
                while refused:
                    (reason, policy, wait), = refused.values()
                    self.assertEqual((reason, policy), ("rate_limited", "one"))
                    self.assertTrue(0 < wait <= 100 * MS, wait)
                    time.sleep(wait / weir.SECOND)
                    refused = source.submit([weir.event()])
            accepted = station.control().replay_all("accepted")
            self.assertEqual(len(accepted), 11)
            for before, after in zip(accepted, accepted[1:]):
                self.assertGreaterEqual(after.accepted_at - before.accepted_at, 100 * MS)

    def test_what_is_published_is_what_is_replayed(self):
        with weir.Station(limits=['"few";q=10;w=60;pk=subject']) as station:
            station.start_processor()
            feed = station.feed("accepted", "rejected")
            source = station.source("s")
            for _ in range(20):
                source.send([weir.event(subject=str(number)) for number in range(5)])
            source.wait()
            feed.until_heartbeat(lambda heartbeat: heartbeat[2] == 50 and heartbeat[3] == 50)
            bodies = collections.defaultdict(bytes)
            while message := feed.take(0):
                bodies[message[0]] += message[2]
            control = station.control()
            for topic in ("accepted", "rejected"):
                (_, first, number, last), body = control.request("replay", topic, 1, 10000)
                self.assertEqual((first, number, last), (1, 50, 50))
                self.assertEqual(bodies[topic], body)


if __name__ == "__main__":
    weir.main()
