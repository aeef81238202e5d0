"""scripts/run.sh: one command runs the pipeline with live traffic; Ctrl-C leaves nothing behind."""

import os
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402


def processes_with(text):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended
        if text in command:
            found.append(command)
    return found


class RunScript(unittest.TestCase):
    def start(self, folder, *arguments):
        out = open(folder / "out", "w+")
        self.addCleanup(out.close)
        process = subprocess.Popen(
            [weir.ROOT / "scripts/run.sh", *arguments], stdout=out, stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(folder / "tmp")}, start_new_session=True,
            preexec_fn=weir.die_with_parent,
        )
        self.addCleanup(process.kill)
        return process

    def run_until_traffic(self, stop):
        with tempfile.TemporaryDirectory(prefix="weir-run-test-") as name:
            folder = Path(name)
            (folder / "tmp").mkdir()
            process = self.start(folder)

            def text():
                return (folder / "out").read_text()

            weir.until(lambda: text().count("-- limits") > 1 or process.poll() is not None, "traffic", limit=500)
            self.assertIsNone(process.poll(), text())
            self.assertTrue(processes_with(str(folder / "tmp")))
            stop(process)
            self.assertEqual(process.wait(60), 0, text())
            self.assertRegex(text(), r"order_counts\n.*status +count\n")
            self.assertRegex(text(), r"\d+ accepted, \d+ refused")
            self.assertEqual(processes_with(str(folder / "tmp")), [])
            self.assertEqual(list((folder / "tmp").iterdir()), [])

    def test_ctrl_c_stops_everything_and_leaves_nothing_behind(self):
        self.run_until_traffic(lambda process: os.killpg(process.pid, signal.SIGINT))

    def test_term_does_so_too(self):
        self.run_until_traffic(lambda process: process.terminate())

    def test_it_ends_by_itself_after_the_seconds_it_was_given(self):
        with tempfile.TemporaryDirectory(prefix="weir-run-test-") as name:
            folder = Path(name)
            (folder / "tmp").mkdir()
            process = self.start(folder, "--seconds", "3", "--store", str(folder / "kept"))
            self.assertEqual(process.wait(500), 0, (folder / "out").read_text())
            self.assertTrue(any((folder / "kept").rglob("*.seg")), "a named store is kept")
            self.assertEqual(list((folder / "tmp").iterdir()), [])


if __name__ == "__main__":
    weir.main()
