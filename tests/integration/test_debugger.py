"""The gdb session that REFLECTION.md shows, run again: the processor stops at the first change of its
state and at its first refusal, says what is shown, and then goes on as if nothing had happened."""

import json
import os
import re
import shutil
import signal
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import shown  # noqa: E402
import weir  # noqa: E402

SCRIPT = "docs/examples/refusal.gdb"
BURST, QUOTA = 15, 10


@unittest.skipUnless(shutil.which("gdb"), "gdb is not installed")
@unittest.skipIf(weir.sanitized(), "sanitizers do not run under a debugger")
class Debugger(unittest.TestCase):
    def debug(self, station):
        debugger = weir.Program(
            ["gdb", "-q", "-batch", "-x", weir.ROOT / SCRIPT, "--args", weir.BIN / "weir-processor", "run",
             "--store", station.store, "--run-dir", station.run_dir, "--limit", f'"per-source";q={QUOTA};w=60;pk=source'],
            station.folder, "gdb",
        )
        station.programs.append(debugger)
        weir.until(lambda: 'msg="ready"' in debugger.log_text() or not debugger.running(), "ready")
        if "+finish" not in (said := debugger.out_text()):
            self.skipTest(f"no debug information here: {said}")
        if "Hardware watchpoint" not in said:
            self.skipTest("this machine has no hardware watchpoints")
        return debugger

    def burst(self, station):
        path = station.folder / "burst.jsonl"
        path.write_text("".join(
            json.dumps({"source": "till-7", "type": "payment.requested", "subject": f"sale-{sale}"}) + "\n"
            for sale in range(1, BURST + 1)
        ))
        return station.run("producer", "send", path, "--run-dir", station.run_dir)

    def end(self, debugger):
        """Stops the processor that the debugger let go."""
        process = int(re.search(r"\(process (\d+)\) detached", debugger.out_text())[1])
        os.kill(process, signal.SIGTERM)
        weir.until(lambda: not Path(f"/proc/{process}").exists(), "the processor's end")
        self.assertIn(f"last_event_id={QUOTA}", debugger.log_text().splitlines()[-1])

    def test_the_session_of_the_reflection_comes_out_again(self):
        with weir.Station() as station:
            debugger = self.debug(station)
            code, out, err = self.burst(station)
            self.assertEqual(debugger.wait(), 0)
            self.end(debugger)
            self.assertEqual(code, 2, err)
            self.assertTrue(out.startswith(f"{QUOTA} accepted, {BURST - QUOTA} refused"), out)
            reflection = (weir.ROOT / "REFLECTION.md").read_text()
            session = shown.output_of(reflection, f"gdb -x {SCRIPT}")
            self.assertIsNone(shown.missing(session, debugger.out_text().splitlines()), debugger.out_text())


if __name__ == "__main__":
    weir.main()
