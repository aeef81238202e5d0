"""The harness itself: at the close of a station, projectors at the same position are compared, and one
that shows something else is found."""

import sqlite3
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import agreement  # noqa: E402
import weir  # noqa: E402

COUNTS = ("create table counts (type text primary key, n integer not null) strict;\n-- on: *\n"
          "insert into counts values (type(), 1) on conflict do update set n = n + 1;\n")


class Harness(unittest.TestCase):
    def two_projectors(self, station):
        views = station.folder / "views"
        views.mkdir()
        (views / "counts.sql").write_text(COUNTS)
        station.start_processor()
        for name in ("one", "two"):
            station.start_projector(name, "--views-dir", views)
        station.source("s").submit([weir.event()] * 100)
        for name in ("one", "two"):
            query = station.query(name)
            for view in ("order_counts", "counts"):
                weir.until(lambda query=query, view=view: query.view(view)["event_id"] == 100, "the end")

    def test_all_views_of_projectors_at_the_same_position_are_compared(self):
        with weir.Station() as station:
            self.two_projectors(station)
            station.stop_programs(failed=False)
            self.assertEqual({path.name for path in station.databases()}, {"one.db", "two.db"})
            self.assertEqual(agreement.check(station.databases()), 6, "five built-in ones and that in SQL")

    def test_a_view_that_differs_fails_the_test_whose_station_closes(self):
        for table in ("order_counts", "counts"):
            station = weir.Station()
            self.two_projectors(station)
            station.stop_programs(failed=False)
            with sqlite3.connect(station.run_dir / "two.db") as database:
                database.execute("update weir_checkpoints set digest = 'f' where view = ?", (table,))
            database.close()
            with self.assertRaisesRegex(AssertionError, f"'{table}'.*one.db has .*two.db has f"):
                station.close()
            self.assertFalse(station.folder.exists())

    def test_what_stands_elsewhere_or_is_another_view_is_not_compared(self):
        with weir.Station() as station:
            self.two_projectors(station)
            station.stop_programs(failed=False)
            with sqlite3.connect(station.run_dir / "two.db") as database:
                database.execute("update weir_checkpoints set digest = 'f', event_id = event_id - 1")
                database.execute("update weir_checkpoints set event_id = 100, format = 'edited' where view = 'counts'")
            database.close()
            self.assertEqual(agreement.check(station.databases()), 0)


if __name__ == "__main__":
    weir.main()
