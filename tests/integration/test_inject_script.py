"""scripts/inject.sh: finds the pipeline that runs, injects, and says how it went."""

import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402

SCRIPT = weir.ROOT / "scripts/inject.sh"
BUILD_LIMIT_SECONDS = 500


class InjectScript(unittest.TestCase):
    def run_script(self, station, *arguments):
        """(exit code, stdout, stderr), where the default run folder is FOLDER/runtime/weir."""
        done = subprocess.run(
            [SCRIPT, *arguments], capture_output=True, text=True, timeout=BUILD_LIMIT_SECONDS, check=False,
            env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(station.folder / "runtime"),
                 "TMPDIR": str(station.folder)},
        )
        return done.returncode, done.stdout, done.stderr

    def test_injects_into_the_pipeline_that_runs(self):
        with weir.Station(limits=['"per-subject";q=10;w=60;pk=subject']) as station:
            station.run_dir = station.folder / "runtime/weir"
            station.run_dir.parent.mkdir()
            station.start_processor()
            code, out, err = self.run_script(station)
            self.assertEqual(code, 0, err)
            self.assertIn("44 injected: 44 as stated, 0 not; 0 skipped", out)
            self.assertIn(f"injecting into {station.run_dir}", err)
            code, out, err = self.run_script(station, "--run-dir", station.run_dir, "--kind", "nan", "--count", "2")
            self.assertEqual(code, 0, err)
            self.assertIn("2 injected: 2 as stated, 0 not; 0 skipped", out)

    def test_without_a_pipeline_it_says_what_to_do(self):
        with weir.Station() as station:
            code, out, err = self.run_script(station)
            self.assertEqual((code, out), (1, ""))
            self.assertIn("no processor of yours runs: start scripts/run.sh first", err)
            code, out, _ = self.run_script(station, "--list")
            self.assertEqual(code, 0)
            self.assertIn("not-messagepack", out)
            self.assertEqual(self.run_script(station, "--no-such-option")[0], 64)


if __name__ == "__main__":
    weir.main()
