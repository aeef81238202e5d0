"""weir-projector fold: views over JSON Lines equal those of a live projector at the same position."""

import json
import random
import sys
import unittest
from datetime import datetime, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402

VIEWS = ["inventory_levels", "limits", "order_counts", "revenue", "user_activity"]
LABORATORY = weir.ROOT / "docs/examples/laboratory.jsonl"


def stamp(time_ns):
    seconds = datetime.fromtimestamp(time_ns // weir.SECOND, timezone.utc)
    return f"{seconds:%Y-%m-%dT%H:%M:%S}.{time_ns % weir.SECOND:09}Z"


def accepted_line(record):
    occurred_at, type_, subject, version, data = record.event[:5]
    return json.dumps({
        "specversion": "1.0", "id": str(record.event_id), "source": record.source, "type": type_, "subject": subject,
        "time": stamp(occurred_at), "data": data, "schemaversion": version, "sequence": f"{record.sequence:020}",
        "eventid": str(record.event_id), "acceptedat": stamp(record.accepted_at),
    })


def rejected_line(record):
    return json.dumps({
        "rejectionid": str(record.rejection_id), "rejectedat": stamp(record.rejected_at),
        "reason": record.reason, "policy": record.policy, "key": record.key, "count": record.count,
    })


class Fold(unittest.TestCase):
    def fold(self, station, lines, *arguments, code=0):
        found, out, err = station.run("projector", "fold", *arguments, input="\n".join(lines) + "\n")
        self.assertEqual(found, code, err)
        return out, err

    def test_the_laboratory_comes_out(self):
        with weir.Station() as station:
            lines = LABORATORY.read_text().splitlines()
            out, err = self.fold(station, lines, "inventory_levels", "order_counts", "user_activity")
            self.assertEqual(out.split(), (
                "product quantity widget-A 97 status count confirmed 1 pending 2"
                " user event_count last_event user-001 2 logged_in").split())
            self.assertIn("as of event 8", err)
            out, _ = self.fold(station, lines[:5], "inventory_levels", "--json")
            reply = json.loads(out)
            self.assertEqual(reply["rows"], [{"product": "widget-A", "quantity": 100}])
            self.assertEqual(reply["event_id"], "5")

    def test_digests_equal_those_of_a_live_projector(self):
        seed = weir.count("WEIR_SEED", random.randrange(2**32))
        print(f"WEIR_SEED={seed}")
        policy = '[policy "per-subject"]\nkey = subject\nquota = 5\nwindow = 3600s\n'
        with weir.Station(policy=policy) as station:
            station.start_processor()
            station.start_projector()
            traffic = station.start_producer(
                "generate", "--rate", "5000", "--count", 3000, "--sources", 3, "--subjects", 150, "--seed", seed
            )
            self.assertIn(traffic.wait(), (0, 2))
            control, query = station.control(), station.query()
            accepted, rejected = control.replay_all("accepted"), control.replay_all("rejected")
            self.assertGreater(len(rejected), 0)
            lines = [accepted_line(record) for record in accepted] + [rejected_line(record) for record in rejected]
            out, _ = self.fold(station, lines, "--json", "--policy", station.folder / "policy.ini")
            folded = {reply["view"]: reply for reply in map(json.loads, out.splitlines())}
            self.assertEqual(sorted(folded), VIEWS)
            for view in VIEWS:
                live = weir.until(
                    lambda view=view: (
                        lambda r: r if (r["event_id"], r["rejection_id"]) == (len(accepted), len(rejected)) else None
                    )(query.view(view)), "the end",
                )
                self.assertEqual(folded[view]["digest"], live["digest"], view)
                self.assertEqual(folded[view]["event_id"], str(len(accepted)))

    def test_a_policy_change_in_the_lines_counts(self):
        with weir.Station() as station:
            change = {"type": "weir.policy_changed", "source": "weir", "subject": "policy",
                      "data": {"text": '[policy "p"]\nkey = source\nquota = 5\nwindow = 60s\n'}, "eventid": "1"}
            lines = [json.dumps(change), '{"type": "order.created", "source": "a", "eventid": "2"}']
            out, _ = self.fold(station, lines, "limits", "--json")
            self.assertEqual(json.loads(out)["rows"], [
                {"policy": "p", "key": "a", "accepted": 1, "refused": 0, "last_refused_at": None}])

    def test_what_is_no_event_ends_it_and_names_the_line(self):
        with weir.Station() as station:
            good = '{"type": "order.created"}'
            for bad, why in (("[]", "not a JSON object"), ('{"type": "Bad Type"}', "type"),
                             ('{"type": "a.b", "eventid": "x"}', "eventid"),
                             ('{"rejectionid": "1", "reason": "boredom"}', "boredom")):
                _, err = self.fold(station, [good, "", bad], code=65)
                self.assertIn("line 3", err)
                self.assertIn(why, err)
            _, err = self.fold(station, [], "no_view", code=64)
            self.assertIn("no_view", err)
            out, err = self.fold(station, [""], "revenue")
            self.assertEqual(out, "")


if __name__ == "__main__":
    weir.main()
