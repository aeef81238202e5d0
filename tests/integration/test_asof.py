"""Views as of earlier events and times, against a naive fold of the published records.

WEIR_EVENTS: events of the history (default 20,000).  WEIR_QUESTIONS: how many random moments (default
60).  WEIR_SEED: of both.
"""

import random
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402
from naive_views import POLICY, VIEWS, Oracle  # noqa: E402


class AsOf(unittest.TestCase):
    def setUp(self):
        self.seed = weir.count("WEIR_SEED", random.randrange(2**32))
        self.rng = random.Random(self.seed)
        print(f"WEIR_SEED={self.seed}")

    def history(self, station, events):
        """Some history by the generator, and all its records."""
        traffic = station.start_producer(
            "generate", "--rate", "20000", "--count", events, "--sources", 3, "--subjects", 300,
            "--seed", self.seed, "--batch", 7,
        )
        self.assertIn(traffic.wait(), (0, 2))
        control = station.control()
        return control.replay_all("accepted"), control.replay_all("rejected")

    def check(self, query, view, at, wanted):
        position, rows = wanted
        reply = query.view(view, at)
        self.assertEqual((reply["event_id"], reply["rejection_id"], reply["time"]), position, f"{view} at {at}")
        self.assertEqual(reply["rows"], rows[view], f"{view} at {at}")
        return reply

    def test_random_moments_equal_a_naive_fold(self):
        events = weir.count("WEIR_EVENTS", 20_000)
        quota = events // 400
        with weir.Station(limits=[f'"{POLICY}";q={quota};w=3600;pk=subject']) as station:
            station.start_processor()
            station.start_projector()
            accepted, rejected = self.history(station, events)
            self.assertGreater(len(rejected), 0)
            oracle = Oracle(accepted, rejected)
            query = station.query()
            first, last = accepted[0].accepted_at, max(accepted[-1].accepted_at, rejected[-1].rejected_at)
            for _ in range(weir.count("WEIR_QUESTIONS", 60)):
                view = self.rng.choice(VIEWS)
                event_id = self.rng.randint(0, len(accepted))
                self.check(query, view, event_id, oracle.at_event(event_id))
                time_ns = self.rng.choice([
                    self.rng.randint(first, last), self.rng.choice(accepted).accepted_at,
                    self.rng.choice(rejected).rejected_at,
                ])
                by_time = self.check(query, view, ["time", time_ns], oracle.at_time(time_ns))
                self.assertEqual(query.view(view, ["time", time_ns]), by_time)
            for view in VIEWS:
                now = weir.until(
                    lambda view=view: (lambda r: r if r["event_id"] == len(accepted) else None)(query.view(view)),
                    "the end",
                )
                end = query.view(view, ["time", last + 10**15])
                if now["rejection_id"] == len(rejected):
                    self.assertEqual(end, now)

    def test_before_the_first_event_there_was_no_state(self):
        with weir.Station() as station:
            station.start_processor()
            station.start_projector()
            station.source("s").submit([weir.event(data={"status": "new"})])
            query = station.query()
            for at in (0, ["time", 0], ["time", 10**9]):
                reply = query.view("order_counts", at)
                self.assertEqual((reply["event_id"], reply["rejection_id"], reply["time"]), (0, 0, 0))
                self.assertEqual(reply["rows"], [])
                self.assertIn("no state", reply["note"])
            code, out, err = station.run(
                "projector", "query", "order_counts", "--at", "1970-01-01T00:00:05Z", "--run-dir", station.run_dir
            )
            self.assertEqual((code, out), (0, ""), err)
            self.assertIn("there was no state yet", err)

    def test_behind_the_end_says_where_the_end_is(self):
        with weir.Station() as station:
            station.start_processor()
            station.start_projector()
            station.source("s").submit([weir.event(data={"status": "new"})] * 3)
            query = station.query()
            with self.assertRaises(weir.ControlError) as raised:
                query.view("order_counts", 4)
            self.assertEqual(raised.exception.code, "not_found")
            self.assertIn("the last one is 3", raised.exception.text)
            self.assertEqual(query.view("order_counts", 3)["rows"], [{"status": "new", "count": 3}])
            with self.assertRaises(weir.ControlError) as raised:
                query.view("no_view", 3)
            self.assertEqual(raised.exception.code, "not_found")

    def test_questions_wait_while_the_processor_is_away_and_others_do_not(self):
        with weir.Station() as station:
            station.start_processor()
            station.start_projector()
            station.source("s").submit([weir.event(data={"status": "new"})] * 3)
            query = station.query()
            weir.until(lambda: query.view("order_counts")["event_id"] == 3, "the events")
            self.assertEqual(station.processor.stop(), 0)
            slow = station.query()
            slow.socket.send_multipart([b"1", weir.pack([1, "view", "order_counts", 2])])
            self.assertEqual(query.view("order_counts")["event_id"], 3)
            station.start_processor()
            frames = slow.socket.recv_multipart()
            self.assertEqual(frames[0], b"1")
            self.assertEqual(weir.unpack(frames[1])[1], "ok")

    def test_more_questions_than_fit_are_turned_away(self):
        with weir.Station() as station:
            station.start_processor()
            station.start_projector()
            station.source("s").submit([weir.event(data={"status": "new"})] * 3)
            query = station.query()
            weir.until(lambda: query.view("order_counts")["event_id"] == 3, "the events")
            self.assertEqual(station.processor.stop(), 0)
            for number in range(200):
                query.socket.send_multipart([b"%d" % number, weir.pack([1, "view", "order_counts", 2])])
            refused = weir.unpack(query.socket.recv_multipart()[1])
            self.assertEqual(refused[1:3], ["error", "unavailable"])
            self.assertIn("too many", refused[3])
            station.start_processor()
            weir.until(lambda: weir.unpack(query.socket.recv_multipart()[1])[1] == "ok", "an answer")


if __name__ == "__main__":
    weir.main()
