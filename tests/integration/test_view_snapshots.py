"""Snapshots of the built-in views: answers as of earlier that start from one equal those that start
from the beginning, and a naive fold; over restarts, kills, a rebuild and damage.

WEIR_EVENTS: events of the history (default 120,000; 60,000 where a sanitizer slows all).
WEIR_QUESTIONS: random moments of each comparison (default 12; 4).  WEIR_SEED: of both.
"""

import random
import sqlite3
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402
from naive_views import POLICY, VIEWS, Oracle  # noqa: E402

EVERY = 2000  # events between two snapshots; none of the views has so many rows that it is more
NEVER = 10**12
EVENTS = weir.count("WEIR_EVENTS", 60_000 if weir.sanitized() else 120_000)
QUESTIONS = weir.count("WEIR_QUESTIONS", 4 if weir.sanitized() else 12)


class ViewSnapshots(unittest.TestCase):
    def setUp(self):
        self.seed = weir.count("WEIR_SEED", random.randrange(2**32))
        self.rng = random.Random(self.seed)
        print(f"WEIR_SEED={self.seed}")

    def station(self):
        """A processor with one projector whose answers all start from the beginning: `plain`."""
        station = weir.Station(limits=[f'"{POLICY}";q=100;w=1;pk=subject'])
        self.addCleanup(station.close)
        station.start_processor()
        station.start_projector("plain", "--snapshot-every", NEVER)
        return station

    def generate(self, station, events, seed):
        """Events of which some are refused all along, however slowly they come: those of bursts."""
        return station.start_producer(
            "generate", "--rate", 40_000, "--count", events, "--sources", 3, "--subjects", 300, "--seed", seed, "--bursts",
        )

    def filled(self, events=None):
        station = self.station()
        self.assertIn(self.generate(station, events or EVENTS, self.seed).wait(), (0, 2))
        return station

    def start(self, station, name, *more):
        return station.start_projector(name, "--snapshot-every", EVERY, *more)

    def level(self, station, *names):
        """Brings projectors to the ends of both streams and everything on disk; `status` of the log."""
        status = station.control().status()
        weir.digests_at([station.query(name) for name in names], status, VIEWS)
        for name in names:
            weir.until(
                lambda name=name: all(
                    end == (status["last_event_id"], status["last_rejection_id"])
                    for end in self.rows_of(station, name, "SELECT event_id, rejection_id FROM weir_checkpoints")
                ),
                f"the checkpoints of {name}",
            )
        return status

    def rows_of(self, station, name, sql):
        with sqlite3.connect(f"file:{station.run_dir / name}.db?mode=ro", uri=True, timeout=60) as database:
            return database.execute(sql).fetchall()

    def snapshots(self, station, name, view):
        """(event id, rejection id) of each, oldest first."""
        return self.rows_of(
            station, name,
            f"SELECT event_id, rejection_id FROM weir_snapshots WHERE view = '{view}' ORDER BY event_id",
        )

    def moments(self, station, name, view, last_id, first_ns, last_ns):
        """Events before, at and behind snapshots; random events and times."""
        taken = [event_id for event_id, _ in self.snapshots(station, name, view)]
        self.assertGreater(len(taken), 0, f"snapshots of {view} in {name}")
        at = self.rng.sample(taken, min(3, len(taken)))
        edges = [edge for id in at for edge in (id - 1, id, id + 1) if edge <= last_id]
        return (
            [0, 1, taken[0] - 1, last_id, *edges]
            + [self.rng.randint(1, last_id) for _ in range(QUESTIONS)]
            + [["time", self.rng.randint(first_ns, last_ns)] for _ in range(QUESTIONS)]
        )

    def compare(self, station, *names, oracle=None):
        """All views of the projectors against `plain` at the same moments, some against the oracle."""
        plain, queries = station.query("plain"), [station.query(name) for name in names]
        first_ns = plain.view("order_counts", 1)["time"]
        now = plain.view("order_counts")
        for view in VIEWS:
            moments = self.moments(station, names[0], view, now["event_id"], first_ns, now["time"])
            for at in moments:
                wanted = plain.view(view, at)
                for name, query in zip(names, queries):
                    self.assertEqual(query.view(view, at), wanted, f"{view} of {name} at {at}")
            for at in self.rng.sample(moments, 4) if oracle else []:
                position, rows = oracle.at_time(at[1]) if isinstance(at, list) else oracle.at_event(at)
                found = queries[0].view(view, at)
                self.assertEqual(
                    (found["event_id"], found["rejection_id"], found["time"]), position, f"{view} at {at}"
                )
                self.assertEqual(found["rows"], rows[view], f"{view} at {at}")

    def test_answers_that_start_from_snapshots_equal_a_naive_fold(self):
        station = self.station()
        self.start(station, "early")
        self.assertIn(self.generate(station, EVENTS, self.seed).wait(), (0, 2))
        self.start(station, "late")
        self.level(station, "plain", "early", "late")
        control = station.control()
        accepted, rejected = control.replay_all("accepted"), control.replay_all("rejected")
        self.assertGreater(len(rejected), 0)
        self.assertEqual(self.rows_of(station, "plain", "SELECT * FROM weir_snapshots"), [])
        self.compare(station, "early", "late", oracle=Oracle(accepted, rejected))
        self.compare(station, "late", "early")
        for event_id, rejection_id in self.snapshots(station, "late", "limits"):
            at = f"taken while it caught up, at event {event_id}"
            self.assertGreaterEqual(rejection_id, sum(1 for r in rejected if r.after_event_id < event_id), at)
            self.assertLessEqual(rejection_id, sum(1 for r in rejected if r.after_event_id <= event_id), at)

    def test_snapshots_outlive_stops_kills_and_are_made_anew_by_a_rebuild(self):
        station = self.filled()
        projector = self.start(station, "kept")
        self.level(station, "plain", "kept")
        taken = {view: self.snapshots(station, "kept", view) for view in VIEWS}
        self.assertEqual(projector.stop(), 0)
        projector = self.start(station, "kept")
        for view in VIEWS:
            self.assertEqual(self.snapshots(station, "kept", view), taken[view], view)
        self.compare(station, "kept")
        traffic = self.generate(station, EVENTS * 2 // 3, self.seed + 1)
        control = station.control()
        for _ in range(4):
            before = control.status()["last_event_id"]
            weir.until(
                lambda: not traffic.running() or control.status()["last_event_id"] > before + EVERY,
                "traffic",
            )
            projector.kill()
            projector = self.start(station, "kept")
        self.assertIn(traffic.wait(), (0, 2))
        self.level(station, "plain", "kept")
        for view in VIEWS:
            self.assertEqual(self.snapshots(station, "kept", view)[: len(taken[view])], taken[view], view)
        self.compare(station, "kept")
        self.assertEqual(projector.stop(), 0)
        self.start(station, "kept", "--rebuild")
        self.level(station, "plain", "kept")
        self.compare(station, "kept")

    def test_a_damaged_snapshot_is_passed_over_and_said(self):
        station = self.filled(EVENTS // 2)
        projector = self.start(station, "kept")
        status = self.level(station, "plain", "kept")
        self.assertEqual(projector.stop(), 0)
        taken = [event_id for event_id, _ in self.snapshots(station, "kept", "limits")]
        with sqlite3.connect(station.run_dir / "kept.db") as database:
            database.execute(
                "UPDATE weir_snapshots SET rows = substr (rows, 1, 20) || x'ff' || substr (rows, 22)"
                " WHERE event_id = ?", (taken[-1],),
            )
        database.close()
        projector = self.start(station, "kept")
        plain, query = station.query("plain"), station.query("kept")
        at = taken[-1] - 1
        self.assertEqual(query.view("limits", at), plain.view("limits", at))
        self.assertNotIn("damaged snapshots", projector.log_text())
        for at in (taken[-1], status["last_event_id"]):
            for view in VIEWS:
                self.assertEqual(query.view(view, at), plain.view(view, at), f"{view} at {at}")
        projector.wait_for_log("damaged snapshots are passed over")
        self.assertTrue(projector.running())


if __name__ == "__main__":
    weir.main()
