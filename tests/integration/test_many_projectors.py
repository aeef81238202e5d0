"""Five projectors, each with some of the views or all, join and leave at random while events are
delivered, by SIGTERM and by kill -9. At the end all have the same digests at the same position.

WEIR_EVENTS: events of the traffic (default 400,000).  WEIR_CHANGES: how often a projector joins or
leaves (default 40).  WEIR_SEED: of both.
"""

import collections
import random
import signal
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402

NAMES = [f"p{number}" for number in range(1, 6)]
VIEWS = ["inventory_levels", "limits", "order_counts", "revenue", "user_activity"]
RATE = 50_000


class Crowd:
    """The projectors of a station that run at the moment."""

    def __init__(self, station, rng):
        self.station = station
        self.rng = rng
        self.running = {}
        self.did = collections.Counter()

    def join(self, name, views):
        options = ["--views", ",".join(views)]
        if self.rng.random() < 0.5:
            options.append("--yield")
        self.running[name] = self.station.start_projector(name, *options, ready=False)
        self.did["joined with all views" if len(views) == len(VIEWS) else "joined with some"] += 1

    def leave(self, name):
        projector = self.running.pop(name)
        if self.rng.random() < 0.5:
            projector.kill()
            self.did["killed"] += 1
        else:
            # One that has just been started may not have set up its signals.
            projector.expected_exits = {0, -signal.SIGTERM}
            assert projector.stop() in projector.expected_exits, projector.log_text()
            self.did["stopped"] += 1

    def change(self):
        """One of them leaves if it is there and joins if it is not."""
        name = self.rng.choice(NAMES)
        if name in self.running:
            self.leave(name)
        else:
            self.join(name, self.rng.sample(VIEWS, self.rng.randint(1, len(VIEWS))))


class ManyProjectors(unittest.TestCase):
    def test_join_and_leave_at_random_under_load_and_all_agree_in_the_end(self):
        seed = weir.count("WEIR_SEED", random.randrange(2**32))
        events = weir.count("WEIR_EVENTS", 400_000)
        changes = weir.count("WEIR_CHANGES", 40)
        print(f"WEIR_SEED={seed}")
        quota = events * 95 // 100 // 500
        with weir.Station(limits=[f'"per-subject";q={quota};w=3600;pk=subject']) as station:
            station.start_processor()
            crowd = Crowd(station, random.Random(seed))
            traffic = station.start_producer(
                "generate", "--rate", RATE, "--count", events, "--sources", 4,
                "--subjects", 500, "--seed", seed,
            )
            control = station.control()
            for change in range(changes):
                weir.until(
                    lambda: control.status()["last_event_id"] >= quota * 500 * change // changes
                    or not traffic.running(), "traffic",
                )
                crowd.change()
            in_traffic = traffic.running()
            self.assertIn(traffic.wait(), (0, 2))
            for name in list(crowd.running):
                if crowd.rng.random() < 0.5:
                    crowd.leave(name)
            for name in NAMES:
                if name not in crowd.running:
                    crowd.join(name, VIEWS)
            self.check(station, control.status())
            print(f"while events came{'' if in_traffic else ', and after'}: {dict(crowd.did)}")

    def check(self, station, status):
        """Every projector has every one of its views at the end of both streams, all alike."""
        found = collections.defaultdict(set)
        for name in NAMES:
            query = station.query(name)
            for view in query.request("views")[0][0]["views"]:
                reply = weir.until(
                    lambda query=query, view=view: (
                        lambda r: r
                        if (r["event_id"], r["rejection_id"])
                        == (status["last_event_id"], status["last_rejection_id"])
                        else None
                    )(query.view(view)),
                    f"{view} of {name} at the end",
                )
                found[view].add(reply["digest"])
        self.assertEqual(sorted(found), VIEWS)
        for view, digests in found.items():
            self.assertEqual(len(digests), 1, f"{view} differs: {digests}")
        print(f"{status['last_event_id']} events, {status['last_rejection_id']} rejections: {dict(found)}")


if __name__ == "__main__":
    weir.main()
