"""Logs of every format that was ever written are read for ever: the bytes in tests/golden/log are never
made again. Each holds 12 events of two sources under two limits, four of them refused, and one that
is invalid."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "log"


def lay_out(station, name):
    """Makes a store of the golden file: a first line "# SIZE bytes", then hex."""
    first, *lines = (GOLDEN / name).read_text().splitlines()
    folder = Path(station.store) / "log"
    folder.mkdir(parents=True)
    path = folder / f"{0:020}.seg"
    with open(path, "wb") as file:
        file.write(bytes.fromhex("".join(lines)))
        file.truncate(int(first.split()[1]))


class OldLogs(unittest.TestCase):
    def goes_on_with(self, name):
        with weir.Station() as station:
            lay_out(station, name)
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


if __name__ == "__main__":
    weir.main()
