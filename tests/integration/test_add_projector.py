"""scripts/add-projector.sh: one command, as often as one likes, adds a projector to the pipeline that
runs; it says its name and how to ask it; Ctrl-C takes it away."""

import re
import shutil
import signal
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402

SCRIPT = weir.ROOT / "scripts/add-projector.sh"
BUILD_LIMIT_SECONDS = 500


class AddProjector(unittest.TestCase):
    def add(self, station, *arguments):
        """The script, where the default run folder is FOLDER/runtime/weir."""
        script = weir.Program(
            [SCRIPT, *arguments], station.folder, f"{len(station.programs)}-script",
            environment={"XDG_RUNTIME_DIR": str(station.folder / "runtime"), "TMPDIR": str(station.folder / "tmp")},
        )
        station.programs.append(script)
        return script

    def said(self, script):
        """(name, command of a query) once it has said them."""
        found = weir.until(
            lambda: re.search(r"^projector (\S+) follows .*\nask it: +(.*)$", script.out_text(), re.MULTILINE)
            or not script.running(),
            "the script's words", limit=BUILD_LIMIT_SECONDS,
        )
        self.assertIsNot(found, True, script.log_text())
        return found[1], found[2].split()

    def ask(self, command):
        done = subprocess.run(command, capture_output=True, text=True, timeout=weir.LIMIT_SECONDS, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def station_at(self, run_dir):
        station = weir.Station()
        station.run_dir = station.folder / run_dir
        station.run_dir.parent.mkdir(parents=True, exist_ok=True)
        (station.folder / "tmp").mkdir(exist_ok=True)
        return station

    def test_adds_as_many_as_one_likes_and_takes_them_away(self):
        with self.station_at("runtime/weir") as station:
            station.start_processor()
            station.source("s").submit([weir.event(data={"status": "new"})] * 7)
            scripts = [self.add(station), self.add(station), self.add(station, "--views", "revenue")]
            said = [self.said(script) for script in scripts]
            self.assertEqual(sorted(name for name, _ in said), ["main", "main-2", "main-3"])
            queries = [station.query(name) for name, _ in said[:2]]
            weir.digests_at(queries, station.control().status(), ["order_counts"])
            for name, command in said[:2]:
                self.assertEqual(self.ask(command).split(), ["status", "count", "new", "7"], name)
            self.assertEqual(self.ask(said[2][1]), "", "no revenue yet")
            scripts[0].signal(signal.SIGINT)
            self.assertEqual(scripts[0].wait(), 0)
            again = self.add(station)
            self.assertEqual(self.said(again)[0], said[0][0], "its name is free again")
            for script in (*scripts[1:], again):
                self.assertEqual(script.stop(), 0)
            self.assertEqual(list((station.folder / "tmp").iterdir()), [])

    def test_finds_the_pipeline_of_run_sh_and_ends_with_it(self):
        with self.station_at("tmp/weir-run.abc/run") as station:
            station.start_processor()
            script = self.add(station, "--name", "other")
            name, command = self.said(script)
            self.assertEqual(name, "other")
            self.ask(command)
            self.assertEqual(station.processor.stop(), 0)
            shutil.rmtree(station.run_dir.parent)
            self.assertEqual(script.wait(), 0)
            self.assertIn("the pipeline has gone", script.log_text())

    def test_says_so_where_nothing_runs(self):
        with self.station_at("runtime/weir") as station:
            script = self.add(station)
            script.expected_exits = {1}
            self.assertEqual(script.wait(BUILD_LIMIT_SECONDS), 1)
            self.assertIn("no processor of yours runs", script.log_text())


if __name__ == "__main__":
    weir.main()
