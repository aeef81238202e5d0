"""The views' database: a projector that is killed at any moment, stopped, or finds its database
damaged goes on with exact views or says clearly why not; everyday tools read it meanwhile.

WEIR_KILLS: how often a projector is killed (default 20).  WEIR_EVENTS: events of the traffic
(default 60,000).  WEIR_SEED: of the moments.
"""

import json
import os
import random

import shutil
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402

VIEWS = ["inventory_levels", "limits", "order_counts", "revenue", "user_activity"]
LIMIT = '"per-subject";q=40;w=3600;pk=subject'


def replies(station, name, status, views=tuple(VIEWS)):
    """{view: reply} of a projector that has come to the ends of both streams."""
    query = station.query(name)
    found = {}
    for view in views:
        found[view] = weir.until(
            lambda view=view: (
                lambda r: r
                if (r["event_id"], r["rejection_id"]) == (status["last_event_id"], status["last_rejection_id"])
                else None
            )(query.view(view)),
            f"{view} of {name} at the end",
        )
    return found


def digests(station, name, status, views=tuple(VIEWS)):
    return {view: reply["digest"] for view, reply in replies(station, name, status, views).items()}


def generate(station, events, *more):
    traffic = station.start_producer(
        "generate", "--rate", "0", "--count", str(events), "--sources", "4", "--subjects", "500", *more
    )
    return traffic


class Checkpoints(unittest.TestCase):
    def filled(self, events=3000):
        """A station with a processor and some history."""
        station = weir.Station(limits=[LIMIT])
        self.addCleanup(station.close)
        station.start_processor()
        self.assertIn(generate(station, events, "--seed", "1").wait(), (0, 2))
        return station

    def database(self, station, name="main"):
        return station.run_dir / f"{name}.db"

    def put_database(self, station, content):
        for ending in ("-wal", "-shm"):
            Path(f"{self.database(station)}{ending}").unlink(missing_ok=True)
        self.database(station).write_bytes(content)

    def refused(self, station, code, words, *arguments):
        projector = station.start_projector("main", *arguments, ready=False)
        projector.expected_exits = {code}
        self.assertEqual(projector.wait(), code, projector.log_text())
        for word in words:
            self.assertIn(word, projector.log_text())

    def start_id(self, projector):
        """The event id that it began with."""
        return int(projector.wait_for_log(r'msg="?ready"? .*event_id=(\d+)')[1])

    def test_killed_at_random_moments_it_goes_on_exactly(self):
        seed = weir.count("WEIR_SEED", random.randrange(2**32))
        rng = random.Random(seed)
        kills, events = weir.count("WEIR_KILLS", 20), weir.count("WEIR_EVENTS", 60_000)
        print(f"WEIR_SEED={seed}")
        resumed = 0
        with weir.Station(limits=[LIMIT]) as station:
            station.start_processor()
            traffic = station.start_producer(
                "generate", "--rate", "5000", "--count", events, "--sources", 4, "--subjects", 5000, "--seed", seed
            )
            for kill in range(kills):
                projector = station.start_projector("killed", ready=False)
                if rng.random() < 0.2:
                    time.sleep(rng.random() * 0.05)
                else:
                    projector.wait_ready()
                    resumed += self.start_id(projector) > 0
                    time.sleep(rng.random() * rng.choice([0.05, 0.3, 1.5]))
                projector.kill()
                if kill % 10 == 9 and not traffic.running():
                    traffic = station.start_producer(
                        "generate", "--rate", "5000", "--count", events, "--sources", 4, "--subjects", 5000,
                        "--seed", seed + kill,
                    )
                if kill % 5 == 4:
                    self.compare(station, "killed")
            self.assertIn(traffic.wait(), (0, 2))
            self.compare(station, "killed")
            print(f"{kills} kills, {resumed} of the starts went on from a checkpoint")
            self.assertGreater(resumed, 0)

    def compare(self, station, name):
        """The killed one against one that has just been made; both from the same log."""
        killed = station.start_projector(name)
        fresh = station.start_projector("fresh", "--rebuild")
        queries = station.query(name), station.query("fresh")
        for view in VIEWS:
            def equal(view=view):
                a, b = (query.view(view) for query in queries)
                same = all(a[key] == b[key] for key in ("event_id", "rejection_id"))
                if same:
                    self.assertEqual(a, b)
                return same and a["event_id"] > 0
            weir.until(equal, f"{view} at one position")
        for query in queries:
            query.close()
        killed.kill()
        fresh.kill()

    def test_a_stop_keeps_everything_and_sqlite3_reads_it_meanwhile(self):
        station = self.filled()
        status = station.control().status()
        projector = station.start_projector()
        before = replies(station, "main", status)
        self.assertEqual(self.start_id(projector), 0)
        weir.until(lambda: self.rows_of(station, "order_counts"), "a checkpoint")
        self.assertEqual(projector.stop(), 0)
        for view in VIEWS:
            columns = list(before[view]["rows"][0])
            rows = [tuple(row[column] for column in columns) for row in before[view]["rows"]]
            self.assertEqual(self.rows_of(station, view), rows, view)
        again = station.start_projector()
        self.assertEqual(self.start_id(again), status["last_event_id"])
        self.assertEqual(replies(station, "main", status), before)

    def rows_of(self, station, view):
        """As the sqlite3 command shows them."""
        done = subprocess.run(
            ["sqlite3", "-readonly", "-json", self.database(station), f"SELECT * FROM {view}"],
            capture_output=True, text=True, timeout=weir.LIMIT_SECONDS, check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return [tuple(row.values()) for row in json.loads(done.stdout or "[]")]

    def test_a_view_that_joins_later_begins_at_the_beginning(self):
        station = self.filled()
        self.assertEqual(station.start_projector("main", "--views", "revenue,limits").stop(), 0)
        station.start_projector("main", "--views", "revenue,limits")
        first = station.control().status()
        some = digests(station, "main", first, ("revenue", "limits"))
        self.assertEqual(station.programs[-1].stop(), 0)
        self.assertIn(generate(station, 2000, "--seed", "2").wait(), (0, 2))
        status = station.control().status()
        station.start_projector("main")
        station.start_projector("fresh")
        found = digests(station, "main", status)
        self.assertEqual(found, digests(station, "fresh", status))
        self.assertNotEqual(found["limits"], some["limits"])
        self.assertEqual(station.programs[-2].stop(), 0)
        only = station.start_projector("main", "--views", "user_activity")
        self.assertEqual(self.start_id(only), status["last_event_id"])

    def test_another_log_is_refused_until_a_rebuild(self):
        station = self.filled()
        projector = station.start_projector()
        replies(station, "main", station.control().status())
        self.assertEqual(projector.stop(), 0)
        self.assertEqual(station.processor.stop(), 0)
        shutil.rmtree(station.store)
        station.start_processor()
        self.assertIn(generate(station, 1000, "--seed", "7").wait(), (0, 2))
        self.refused(station, 75, ["another log", "--rebuild"])
        station.start_projector("main", "--rebuild")
        station.start_projector("fresh")
        status = station.control().status()
        self.assertEqual(digests(station, "main", status), digests(station, "fresh", status))

    def test_a_log_that_is_behind_the_checkpoint_is_refused(self):
        station = self.filled()
        self.assertEqual(station.processor.stop(), 0)
        shutil.copytree(station.store, station.folder / "old")
        station.start_processor()
        self.assertIn(generate(station, 1000, "--seed", "7").wait(), (0, 2))
        projector = station.start_projector()
        replies(station, "main", station.control().status())
        self.assertEqual(projector.stop(), 0)
        self.assertEqual(station.processor.stop(), 0)
        shutil.rmtree(station.store)
        shutil.copytree(station.folder / "old", station.store)
        station.start_processor()
        self.refused(station, 74, ["ahead of the log", "--rebuild"])
        # and when other events have taken those ids
        self.assertIn(generate(station, 3000, "--seed", "8").wait(), (0, 2))
        self.refused(station, 74, ["lost what was published"])

    def test_damage_is_found_and_never_served(self):
        seed = weir.count("WEIR_SEED", random.randrange(2**32))
        rng = random.Random(seed)
        print(f"WEIR_SEED={seed}")
        station = self.filled()
        status = station.control().status()
        projector = station.start_projector()
        wanted = replies(station, "main", status)
        self.assertEqual(projector.stop(), 0)
        good = self.database(station).read_bytes()
        outcomes = {"refused": 0, "made anew": 0, "unharmed": 0}
        for _ in range(weir.count("WEIR_FLIPS", 25)):
            bytes_ = bytearray(good)
            place = rng.randrange(len(bytes_))
            bytes_[place] ^= 1 << rng.randrange(8)
            self.put_database(station, bytes_)
            projector = station.start_projector("main", ready=False)
            projector.expected_exits = {0, 74, 78}
            ready = weir.until(
                lambda: ' msg="ready"' in projector.log_text() or not projector.running(), "a decision"
            )
            self.assertTrue(ready)
            if not projector.running():
                self.assertIn(projector.wait(), (74, 78), f"byte {place}: {projector.log_text()}")
                outcomes["refused"] += 1
                continue
            self.assertEqual(replies(station, "main", status), wanted, f"byte {place}")
            anew = "made anew" in projector.log_text()
            outcomes["made anew" if anew else "unharmed"] += 1
            self.assertEqual(projector.stop(), 0)
            for view in VIEWS:
                columns = list(wanted[view]["rows"][0])
                self.assertEqual(
                    self.rows_of(station, view),
                    [tuple(row[column] for column in columns) for row in wanted[view]["rows"]], f"byte {place}",
                )
        print(outcomes)
        self.put_database(station, good)  # the harness reads it, and the last flip may have made it unreadable

    def test_a_file_that_is_none_of_ours_is_left_alone(self):
        station = self.filled(100)
        notes = station.folder / "notes.txt"
        notes.write_text("these are my notes, and they matter\n" * 10)
        before = notes.read_text()
        self.refused(station, 78, ["not touched"], "--db", notes)
        self.refused(station, 78, ["not touched"], "--db", notes, "--rebuild")
        self.assertEqual(notes.read_text(), before)

    def test_two_projectors_do_not_share_a_database(self):
        station = self.filled(100)
        station.start_projector("main", "--db", station.folder / "views.db")
        second = station.start_projector("second", "--db", station.folder / "views.db", ready=False)
        second.expected_exits = {75}
        self.assertEqual(second.wait(), 75)
        self.assertIn("is held by process", second.log_text())

    def test_a_database_that_may_not_be_written_is_refused(self):
        if os.geteuid() == 0:
            self.skipTest("root may write everything")
        station = self.filled(100)
        self.assertEqual(station.start_projector().stop(), 0)
        self.database(station).chmod(0o400)
        self.refused(station, 74, ["may not write"])

    def test_on_a_full_disk_the_views_go_on_and_are_kept_later(self):
        with weir.small_disk(3) as disk:
            station = weir.Station()
            self.addCleanup(station.close)
            station.start_processor()
            projector = station.start_projector("main", "--db", disk / "views.db")
            (disk / "filler").write_bytes(b"x" * (3 * 1024 * 1024 - 200 * 1024))
            source = station.source("s")
            for batch in range(5):
                source.submit([
                    weir.event(type="user.logged_in", subject=f"user-{batch}-{number}-{'x' * 60}")
                    for number in range(400)
                ])
            projector.wait_for_log("cannot be kept")
            status = station.control().status()
            wanted = replies(station, "main", status, ("user_activity",))
            (disk / "filler").unlink()
            source.submit([weir.event(type="user.logged_in", subject="the last")])
            projector.wait_for_log("are kept again")
            self.assertEqual(projector.stop(), 0)
            station.start_projector("main", "--db", disk / "views.db")
            status = station.control().status()
            again = replies(station, "main", status, ("user_activity",))["user_activity"]
            self.assertEqual(len(again["rows"]), len(wanted["user_activity"]["rows"]) + 1)


if __name__ == "__main__":
    weir.main()
