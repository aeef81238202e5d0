"""Projectors agree: one from the start, one late, one killed and restarted, one stalled with SIGSTOP
until its queue overflowed all have the same digest at the same event id.

WEIR_EVENTS: events of the bulk traffic (default 300,000).  WEIR_SINGLES: events that travel alone,
one message each, which is what overflows the queue (default 20,000).
"""

import os
import signal
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402


class Projectors(unittest.TestCase):
    def generate(self, station, number, *more, rate=0):
        return station.start_producer(
            "generate", "--rate", rate, "--count", number, "--sources", 4, "--subjects", 500, *more
        )

    def replays(self, projector, event_id):
        """How often it has replayed, by its own summary at that event."""
        return int(projector.wait_for_log(rf"summary.* event_id={event_id} .*replays=(\d+)")[1])

    def test_early_late_restarted_and_stalled_projectors_have_the_same_digests(self):
        events = weir.count("WEIR_EVENTS", 300_000)
        quota = events * 98 // 100 // 500
        with weir.Station(limits=[f'"per-subject";q={quota};w=3600;pk=subject']) as station:
            station.start_processor()
            station.start_projector("early")
            killed = station.start_projector("killed")
            stalled = station.start_projector("stalled")
            self.assertIn(self.generate(station, events // 10, "--seed", "1").wait(), (0, 2))
            control = station.control()
            query = station.query("stalled")
            first = control.status()["last_event_id"]
            weir.until(lambda: query.view("order_counts")["event_id"] == first, "the first events")
            before = self.replays(stalled, first)
            stalled.signal(signal.SIGSTOP)
            traffic = self.generate(station, events, "--seed", "2")
            weir.until(lambda: control.status()["last_event_id"] > events // 5 or not traffic.running(), "traffic")
            killed.kill()
            self.assertIn(traffic.wait(), (0, 2))
            singles = weir.count("WEIR_SINGLES", 20_000)
            trickle = self.generate(station, singles, "--seed", "3", "--batch", 1, rate=5000)
            self.assertIn(trickle.wait(), (0, 2))
            station.start_projector("killed")
            station.start_projector("late")
            stalled.signal(signal.SIGCONT)
            status = control.status()
            names = ("early", "late", "killed", "stalled")
            digests = weir.digests_at([station.query(name) for name in names], status)
            last = status["last_event_id"]
            print(f"{last} events, {status['last_rejection_id']} rejections: {digests}")
            for view, found in digests.items():
                self.assertEqual(len(found), 1, f"{view} differs: {found}")
            self.assertGreater(self.replays(stalled, last), before, "its queue overflowed")

    def test_a_projector_follows_over_restarts_of_the_processor(self):
        with weir.Station(limits=['"per-source";q=25;w=3600;pk=source']) as station:
            station.start_processor()
            station.start_projector()
            for life in range(3):
                source = station.source(f"life-{life}")
                source.submit([weir.event(data={"status": "new"})] * 30)
                source.close()
                if life < 2:
                    (station.processor.kill, station.processor.stop)[life]()
                    station.start_processor()
            query = station.query()
            reply = weir.until(
                lambda: (lambda r: r if r["event_id"] == 75 else None)(query.view("order_counts")), "75 events"
            )
            self.assertEqual(reply["rows"], [{"status": "new", "count": 75}])
            limits = weir.until(
                lambda: (lambda r: r if r["rejection_id"] == 15 else None)(query.view("limits")), "15 rejections"
            )
            self.assertEqual(
                [(row["policy"], row["key"], row["accepted"], row["refused"]) for row in limits["rows"]],
                [("per-source", f"life-{life}", 25, 5) for life in range(3)],
            )

    def test_one_that_yields_rests_while_processors_are_short_and_has_the_same_digests_after(self):
        with weir.Station() as station:
            station.start_processor()
            station.start_projector("first")
            traffic = self.generate(station, 30_000, rate=10_000)
            busy = [
                subprocess.Popen([sys.executable, "-c", "while True: pass"], preexec_fn=weir.die_with_parent)
                for _ in range(3 * os.cpu_count())
            ]
            try:
                yielding = station.start_projector("yielding", "--yield")
                yielding.wait_for_log("processors are short: this projector rests in between")
                reply = station.query("yielding").view("order_counts")
                self.assertLessEqual(reply["event_id"], 30_000)
                self.assertEqual(traffic.wait(), 0)
            finally:
                for process in busy:
                    process.kill()
                    process.wait()
            queries = [station.query(name) for name in ("first", "yielding")]
            for view, found in weir.digests_at(queries, station.control().status()).items():
                self.assertEqual(len(found), 1, f"{view} differs: {found}")

    def test_two_projectors_of_one_name_do_not_share_a_socket(self):
        with weir.Station() as station:
            station.start_processor()
            station.start_projector("only")
            second = station.start_projector("only", ready=False)
            second.expected_exits = {75}
            self.assertEqual(second.wait(), 75)
            self.assertIn("limits", station.query("only").request("views")[0][0]["views"])

    def test_a_projector_waits_for_a_processor_that_is_not_there_yet(self):
        with weir.Station() as station:
            station.run_dir.mkdir(mode=0o700)
            station.start_projector(ready=False)
            station.start_processor()
            station.source("s").submit([weir.event(data={"status": "x"})])
            query = station.query()
            reply = weir.until(
                lambda: (lambda r: r if r["event_id"] == 1 else None)(query.view("order_counts")), "the event"
            )
            self.assertEqual(reply["rows"], [{"status": "x", "count": 1}])


if __name__ == "__main__":
    weir.main()
