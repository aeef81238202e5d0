"""The laboratory example, docs/examples/laboratory.jsonl: eight events at times 1 to 8 s, sent through
the live pipeline, give exactly these views, as text and as JSON, in every projector."""

import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402

FILE = weir.ROOT / "docs/examples/laboratory.jsonl"
EVENTS = 8
LIMIT = '"per-source";q=100;w=60;pk=source'

ROWS = {
    "inventory_levels": [{"product": "widget-A", "quantity": 97}],
    "limits": [
        {"policy": "per-source", "key": "laboratory", "accepted": 8, "refused": 0, "last_refused_at": None}
    ],
    "order_counts": [{"status": "confirmed", "count": 1}, {"status": "pending", "count": 2}],
    "revenue": [],
    "user_activity": [{"user": "user-001", "event_count": 2, "last_event": "logged_in"}],
}
TEXT = {
    "inventory_levels": ["product   quantity", "widget-A        97"],
    "limits": [
        "policy      key         accepted  refused  last_refused_at",
        "per-source  laboratory         8        0  -",
    ],
    "order_counts": ["status     count", "confirmed      1", "pending        2"],
    "revenue": [],
    "user_activity": ["user      event_count  last_event", "user-001            2  logged_in"],
}


class Laboratory(unittest.TestCase):
    def query(self, station, name, view, *more):
        code, out, err = station.run(
            "projector", "query", view, "--name", name, "--run-dir", station.run_dir, *more
        )
        self.assertEqual(code, 0, err)
        return out, err

    def check(self, station, name):
        """Every view of the projector, both ways; gives {view: digest}."""
        digests = {}
        query = station.query(name)
        for view, rows in ROWS.items():
            weir.until(lambda view=view: query.view(view)["event_id"] == EVENTS, f"{view} of {name}")
            text, position = self.query(station, name, view)
            self.assertEqual(text.splitlines(), TEXT[view])
            self.assertRegex(position, rf"^{view} as of event {EVENTS}, rejection 0, ")
            answer = json.loads(self.query(station, name, view, "--json")[0])
            self.assertEqual(answer["rows"], rows)
            self.assertEqual((answer["view"], answer["event_id"]), (view, str(EVENTS)))
            digests[view] = answer["digest"]
        return digests

    def test_gives_exactly_its_numbers_in_an_early_and_a_late_projector(self):
        with weir.Station(limits=[LIMIT]) as station:
            station.start_processor()
            station.start_projector("early")
            code, out, err = station.run("producer", "send", FILE, "--run-dir", station.run_dir)
            self.assertEqual(code, 0, err)
            self.assertRegex(out, rf"^{EVENTS} accepted, 0 refused")
            early = self.check(station, "early")
            station.start_projector("late")
            self.assertEqual(self.check(station, "late"), early)

    def test_the_events_happened_at_seconds_1_to_8(self):
        with weir.Station() as station:
            station.start_processor()
            code, _, err = station.run("producer", "send", FILE, "--run-dir", station.run_dir)
            self.assertEqual(code, 0, err)
            times = [record.event[0] for record in station.control().replay_all("accepted")]
            self.assertEqual(times, [second * weir.SECOND for second in range(1, EVENTS + 1)])


if __name__ == "__main__":
    weir.main()
