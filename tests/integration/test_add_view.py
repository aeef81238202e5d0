"""A new event type and a new view without touching what is there: a copy of the sources with one more
file in projector/views builds, and its projector answers for the new view beside the old ones.
"""

import json
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import checkout  # noqa: E402
import weir  # noqa: E402

EXAMPLES = weir.ROOT / "docs/examples"


def build_with(view, folder):
    """The projector of a copy of the sources with one more view."""
    sources = checkout.Checkout(folder)
    shutil.copy(view, folder / "projector/views")
    return sources.build("weir-projector") / "weir-projector"


class AddView(unittest.TestCase):
    def query(self, station, binary, view, *more):
        done = subprocess.run(
            [binary, "query", view, "--name", "new", "--run-dir", station.run_dir, *more],
            capture_output=True, text=True, timeout=weir.LIMIT_SECONDS, check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def send(self, station, name):
        code, _, err = station.run("producer", "send", EXAMPLES / name, "--run-dir", station.run_dir)
        self.assertEqual(code, 0, err)

    def test_one_more_file_makes_one_more_view(self):
        with weir.Station() as station:
            binary = build_with(EXAMPLES / "account_balances.c", station.folder / "checkout")
            station.start_processor()
            self.send(station, "accounts.jsonl")
            station.start_projector("old")
            new = weir.Program(
                [binary, "run", "--name", "new", "--run-dir", station.run_dir], station.folder, "new"
            )
            station.programs.append(new)
            new.wait_ready()
            self.send(station, "laboratory.jsonl")
            status = station.control().status()

            old_views = station.query("old").request("views")[0][0]["views"]
            new_views = station.query("new").request("views")[0][0]["views"]
            self.assertEqual(new_views, sorted([*old_views, "account_balances"]))
            for view, digests in weir.digests_at(
                [station.query("old"), station.query("new")], status, old_views
            ).items():
                self.assertEqual(len(digests), 1, view)
            self.assertEqual(
                self.query(station, binary, "account_balances").splitlines(),
                ["account    balance", "account-1      100"],
            )
            rows = json.loads(self.query(station, binary, "account_balances", "--json"))["rows"]
            self.assertEqual(rows, [{"account": "account-1", "balance": 100}])


if __name__ == "__main__":
    weir.main()
