"""Logs and snapshots of every format that was ever written are read for ever: the bytes in
tests/golden are never made again.

log/N.hex: a log of format N, 12 events of two sources under two limits, four of them refused, and
one that is invalid.
snapshot-N: a store with a snapshot of format N, of which everything before the snapshot is dropped:
nothing but the snapshot knows what was accepted and refused before event 11.
"""

import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def lay_out(station, golden, name):
    """Makes a file of the store of a golden one: a first line "# SIZE bytes", then hex."""
    first, *lines = golden.read_text().splitlines()
    path = Path(station.store) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.write(bytes.fromhex("".join(lines)))
        file.truncate(int(first.split()[1]))


def lay_out_store(station, name):
    for path in (GOLDEN / name).rglob("*.hex"):
        lay_out(station, path, path.relative_to(GOLDEN / name).with_suffix(""))


class OldLogs(unittest.TestCase):
    def goes_on_with(self, name):
        with weir.Station() as station:
            lay_out(station, GOLDEN / "log" / name, f"log/{0:020}.seg")
            program = station.start_processor()
            control = station.control()
            status = control.status()
            self.assertEqual((status["last_event_id"], status["last_rejection_id"]), (8, 5))
            accepted = control.replay_all("accepted")
            self.assertEqual(sorted(record.event[2] for record in accepted), [f"s-{i // 2}" for i in range(8)])
            reasons = [record.reason for record in control.replay_all("rejected")]
            self.assertEqual(reasons, ["rate_limited"] * 4 + ["invalid"])
            self.assertEqual([policy["name"] for policy in status["policies"]], ["per-subject", "big"])
            self.assertEqual(control.hello("till-0")[1:], (2, 6))
            source = station.source("new")
            source.send([weir.event(subject="other")])
            source.wait()
            status = control.status()
            self.assertNotEqual(status["durable"]["state_digest"], "0" * 16)
            program.stop()
            station.start_processor()  # a log of mixed formats
            again = station.control().status()
            self.assertEqual(again["durable"], status["durable"])
            self.assertEqual(again["last_event_id"], 9)

    def test_format_1(self):
        self.goes_on_with("1.hex")

    def test_format_2(self):
        self.goes_on_with("2.hex")


class OldSnapshots(unittest.TestCase):
    def state_at(self, station, event_id):
        code, out, error = station.run("processor", "state", "--store", station.store, "--at", f"#{event_id}", "--json")
        self.assertEqual(code, 0, error)
        state = json.loads(out)
        return state, {policy["policy"]: {key["key"]: key["units"] for key in policy["keys"]}
                       for policy in state["policies"]}

    def test_format_1(self):
        with weir.Station() as station:
            lay_out_store(station, "snapshot-1")
            with self.assertRaises(AssertionError) as gone:
                self.state_at(station, 9)
            self.assertIn("the first event that is kept is 11", str(gone.exception))
            state, units = self.state_at(station, 10)  # the snapshot's
            self.assertEqual((state["rejection_id"], state["sources"]), (12, 2))
            self.assertEqual(units, {
                "per-subject": {"Zoë": 3, "s-0": 3, "s-1": 1, "s-2": 1, "s-3": 1, "s-4": 1},
                "cards": {"c-1": 62, -7: 31},
                "trial": {"till-1": 2, "till/0": 2},
            })
            code, out, error = station.run("processor", "state", "--store", station.store, "--at", "#11", "--key", "s-0")
            self.assertEqual(code, 0, error)
            self.assertIn("filled by events that are no longer kept", out)
            program = station.start_processor()  # compares the digest of each batch that follows
            self.assertIn("folding on from a snapshot", program.log_text())
            status = station.control().status()
            self.assertEqual((status["first_event_id"], status["first_rejection_id"]), (11, 13))
            self.assertEqual((status["last_event_id"], status["last_rejection_id"]), (13, 17))
            self.assertEqual(status["durable"]["state_digest"], "14f11b456d2de041")
            self.assertEqual([policy["name"] for policy in status["policies"]], ["per-subject", "cards", "trial"])
            source = station.source("till/0")
            self.assertEqual((source.epoch, source.last_sequence), (2, 13))
            source.ingest.send("till/0", 2, 1, [weir.event()] * 10)  # decided before the snapshot: remembered
            ack = source.next_ack()
            self.assertEqual((ack.first_sequence, ack.last_sequence), (1, 10))
            self.assertEqual([refusal[0] for refusal in ack.refusals], [5, 7, 9])
            self.assertEqual(source.submit([weir.event(subject="new")]), {})
            self.assertEqual(station.control().status()["last_event_id"], 14)


if __name__ == "__main__":
    weir.main()
