"""A producer and a projector written in Python against docs/protocol.md alone do what ours do."""

import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402

EXAMPLES = weir.ROOT / "docs/examples"


def run_example(name, *arguments):
    done = subprocess.run(
        ["/usr/bin/python3", EXAMPLES / f"{name}.py", *map(str, arguments)],
        capture_output=True, text=True, timeout=weir.LIMIT_SECONDS, check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Foreigners(unittest.TestCase):
    def test_the_example_programs_work_against_the_contract(self):
        with weir.Station(limits=['"per-source";q=2500;w=3600;pk=source']) as station:
            station.start_processor()
            station.start_projector()
            said = run_example("producer", station.run_dir, "python", 3000)
            self.assertEqual(said, "2500 accepted, 500 refused, sequences 1 to 3000")
            said = run_example("producer", station.run_dir, "python", 10)
            self.assertEqual(said, "0 accepted, 10 refused, sequences 3001 to 3010")
            said = run_example("producer", station.run_dir, "snake", 20)
            self.assertEqual(said, "20 accepted, 0 refused, sequences 1 to 20")
            self.assertEqual(run_example("projector", station.run_dir, 2520), "pending 2520")
            query = station.query()
            ours = weir.until(
                lambda: (lambda r: r if r["event_id"] == 2520 else None)(query.view("order_counts")), "our view"
            )
            self.assertEqual(ours["rows"], [{"status": "pending", "count": 2520}])

    def test_the_python_projector_agrees_with_ours_on_generated_traffic(self):
        with weir.Station(limits=['"per-subject";q=5;w=3600;pk=subject']) as station:
            station.start_processor()
            station.start_projector()
            code = station.start_producer("generate", "--rate", "0", "--count", "20000", "--seed", "7").wait()
            self.assertIn(code, (0, 2))
            last = station.control().status()["last_event_id"]
            theirs = run_example("projector", station.run_dir, last)
            query = station.query()
            ours = weir.until(
                lambda: (lambda r: r if r["event_id"] == last else None)(query.view("order_counts")), "our view"
            )
            self.assertEqual(theirs.splitlines(), [f"{row['status']} {row['count']}" for row in ours["rows"]])


if __name__ == "__main__":
    weir.main()
