"""Exact both ways: an oracle that reads only what is published.

Seeded schedules of weighted events are submitted against policies with windows of a nanosecond to
an hour. Then the whole log is read back through `replay`, accepted events and refusals are merged by
`after_event_id`, and a window check written here from docs/protocol.md decides each event again:
nothing over quota, nothing refused that would have fitted, and every refusal names the right
policy, key and wait.

WEIR_SEEDS: number of schedules (default 25).  WEIR_SEED: the first of them (default 1).
"""

import collections
import fnmatch
import random
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402

MS = 1_000_000
SEEDS_AT_ONCE = 5
STEPS_PER_SEED = 25

Policy = collections.namedtuple("Policy", "name match key quota window_ns cost")

# Each set: policies with different keys, fixed and weighted costs, windows that many events cross.
POLICY_SETS = [
    [
        Policy("per-subject", "*", "subject", 5, 50 * MS, 1),
        Policy("per-source", "*", "source", 90, 200 * MS, "data.units"),
        Policy("per-tenant", "order.*", "data.tenant", 40, 100 * MS, "data.units"),
    ],
    [
        Policy("edge", "*", "subject", 3, 1, 1),
        Policy("tenant", "*", "data.card.tenant", 30, 150 * MS, "data.units"),
        Policy("source-hourly", "*", "source", 220, 3600 * 1000 * MS, 1),
    ],
    [
        Policy("per-type", "*.created", "type", 24, 20 * MS, 2),
        Policy("everyone", "*", "global", 400, 100 * MS, "data.units"),
        Policy("per-subject", "user.*", "subject", 4, 75 * MS, 1),
    ],
]


def policy_text(policies):
    return "".join(
        f'[policy "{p.name}"]\nmatch = {p.match}\nkey = {p.key}\nquota = {p.quota}\n'
        f"window = {p.window_ns}ns\ncost = {p.cost}\n"
        for p in policies
    )


def at_path(data, path):
    for step in path.split(".")[1:]:
        data = data[step]
    return data


def key_of(policy, source, event):
    _, type_, subject, _, data = event[:5]
    fixed = {"source": source, "subject": subject, "type": type_, "global": "global"}
    return fixed[policy.key] if policy.key in fixed else at_path(data, policy.key)


def cost_of(policy, event):
    return policy.cost if isinstance(policy.cost, int) else at_path(event[4], policy.cost)


class Oracle:
    """Sliding windows, the slow and plain way: all (time, cost) of the last window per key."""

    def __init__(self, policies):
        self.policies = policies
        self.windows = collections.defaultdict(collections.deque)

    def charges(self, source, event):
        return [
            (policy, key_of(policy, source, event), cost_of(policy, event))
            for policy in self.policies
            if fnmatch.fnmatchcase(event[1], policy.match)
        ]

    def wait(self, policy, key, cost, now):
        """ns until `cost` fits; 0: fits now; None: never."""
        if cost > policy.quota:
            return None
        if cost == 0:
            return 0
        window = self.windows[policy.name, key]
        while window and window[0][0] <= now - policy.window_ns:
            window.popleft()
        over = sum(spent for _, spent in window) + cost - policy.quota
        wait = 0
        for stamp, spent in window:
            if over <= 0:
                break
            over -= spent
            wait = stamp + policy.window_ns - now
        return wait

    def verdict(self, source, event, now):
        """None when it fits; else (policy, key, wait) of the longest wait, first in the file."""
        worst = None
        for policy, key, cost in self.charges(source, event):
            wait = self.wait(policy, key, cost, now)
            if wait == 0:
                continue
            longer = worst is None or (
                worst[2] is not None and (wait is None or wait > worst[2])
            )
            if longer:
                worst = (policy.name, key, wait)
        return worst

    def spend(self, source, event, now):
        for policy, key, cost in self.charges(source, event):
            if cost:
                self.windows[policy.name, key].append((now, cost))


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
    def check_log(self, policies, accepted, rejected, first_seed):
        oracle = Oracle(policies)
        refusals = collections.defaultdict(list)
        for record in rejected:
            self.assertEqual(record.count, 1, "a summary: the schedule is too fast for the oracle")
            refusals[record.after_event_id].append(record)
        time_ns = 0
        for position in range(len(accepted) + 1):
            if position:
                record = accepted[position - 1]
                self.assertEqual(record.event_id, position)
                self.assertGreaterEqual(record.accepted_at, time_ns)
                time_ns = record.accepted_at
                verdict = oracle.verdict(record.source, record.event, time_ns)
                self.assertIsNone(verdict, f"over quota (seeds from {first_seed}): {record}")
                oracle.spend(record.source, record.event, time_ns)
            for record in refusals[position]:
                self.assertEqual(record.reason, "rate_limited", record)
                self.assertGreaterEqual(record.rejected_at, time_ns)
                verdict = oracle.verdict(record.source, record.evidence, record.rejected_at)
                self.assertEqual(
                    verdict, (record.policy, record.key, record.retry_after),
                    f"refusal differs (seeds from {first_seed}): {record}",
                )
                time_ns = record.rejected_at

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
        self.check_log(policies, accepted, rejected, seeds[0])
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
