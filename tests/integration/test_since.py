"""A projector on a log that lost its beginning by retention: it says so and names --from-id; with it
the views, those in SQL too, begin there, say since when, and a restart goes on without the option."""

import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402

RUN = ("--segment-bytes", str(4 * 1024 * 1024), "--snapshot-bytes", str(512 * 1024),
       "--retain-bytes", str(8 * 1024 * 1024))
PADDING = "x" * 400
SEEN = ("create table seen (user text primary key, n integer, first_id integer) strict;\n"
        "-- on: user.*\n"
        "insert into seen values (subject(), 1, event_id()) on conflict do update set n = n + 1;\n")


def fill(source, events):
    for first in range(0, events, 500):
        source.send([weir.event(type="user.seen", subject=f"s-{i % 700}", data={"padding": PADDING})
                     for i in range(first, first + 500)])
        source.wait()


def counted(reply):
    return sum(row["event_count"] for row in reply["rows"])


class Since(unittest.TestCase):
    def refused(self, station, wanted, code, *arguments):
        exit_code, _, errors = station.run("projector", "run", "--name", "late", "--run-dir",
                                           station.run_dir, *arguments)
        self.assertEqual(exit_code, code, errors)
        self.assertIn(wanted, errors)

    def at_end(self, station, last, name="late", view="user_activity"):
        query = station.query(name)

        def there():
            try:
                reply = query.view(view)
            except weir.ControlError as error:
                self.assertEqual(error.code, "not_found", error)  # a file that was not noticed yet
                return None
            return reply if reply["event_id"] == last else None
        return weir.until(there, "the views at the end")

    def check_sql(self, reply, since):
        """Each event from `since` on was seen once, and none before."""
        self.assertEqual(reply["since"], since)
        self.assertEqual(sum(row["n"] for row in reply["rows"]), reply["event_id"] - since + 1)
        self.assertEqual(min(row["first_id"] for row in reply["rows"]), since)

    def ask(self, station, *arguments):
        return station.run("projector", "query", "user_activity", "--name", "late", "--json",
                           "--run-dir", station.run_dir, *arguments)

    def test_views_of_what_is_left(self):
        with weir.Station(limits=['"p";q=30;wms=300;pk=subject']) as station:
            station.start_processor(*RUN)
            source, control = station.source("s"), station.control()
            fill(source, 30_000)

            def lost():
                fill(source, 2_000)
                return control.status()["first_event_id"] > 1

            weir.until(lost, "old segments to go")
            station.processor.stop()
            station.start_processor(*RUN[:4])  # and no more is dropped
            control = station.control()
            status = control.status()
            first, last = status["first_event_id"], status["last_event_id"]
            self.refused(station, f"--from-id {first}", 1)
            self.refused(station, f"--from-id {first}", 1, "--from-id", str(first - 1))
            since = first + 1_234
            views = station.folder / "views"
            views.mkdir()
            (views / "seen.sql").write_text(SEEN)
            program = station.start_projector("late", "--from-id", str(since), "--views-dir", views)
            reply = self.at_end(station, last)
            self.assertEqual(reply["since"], since)
            self.assertEqual(counted(reply), last - since + 1)
            refusals = station.query("late").view("limits")
            self.assertEqual(sum(row["accepted"] for row in refusals["rows"]), last - since + 1)

            self.check_sql(self.at_end(station, last, view="seen"), since)

            middle = (since + last) // 2
            self.check_sql(station.query("late").view("seen", middle), since)
            then = station.query("late").view("user_activity", middle)
            self.assertEqual((then["since"], counted(then)), (since, middle - since + 1))
            with self.assertRaises(weir.ControlError) as refusal:
                station.query("late").view("user_activity", since - 1)
            self.assertEqual(refusal.exception.code, "gone")
            self.assertIn(str(since), str(refusal.exception))

            exit_code, output, errors = self.ask(station, "--at", "-1ns")
            self.assertEqual(exit_code, 0, errors)
            self.assertEqual(json.loads(output)["since"], str(since))
            self.assertLessEqual(int(json.loads(output)["time"]), reply["time"] - 1)
            program.stop()

            program = station.start_projector("late", "--views-dir", views)
            again = self.at_end(station, last)
            self.check_sql(self.at_end(station, last, view="seen"), since)
            (views / "again.sql").write_text(SEEN.replace("seen", "again"))
            self.check_sql(self.at_end(station, last, view="again"), since)
            self.assertEqual((again["digest"], again["since"]), (reply["digest"], since))
            program.stop()
            self.refused(station, f"begin with event {since}", 78, "--from-id", str(since + 1))

            station.start_projector("first", "--from-id", str(first))
            self.assertEqual(counted(self.at_end(station, last, "first")), last - first + 1)


if __name__ == "__main__":
    weir.main()
