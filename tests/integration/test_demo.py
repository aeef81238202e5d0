"""scripts/demo.sh: its story comes out as README.md shows it, a wrong number fails it, and whatever
happens it leaves nothing behind."""

import os
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import shown  # noqa: E402
import weir  # noqa: E402

SCRIPT = weir.ROOT / "scripts/demo.sh"
STORY_LIMIT_SECONDS = 240


def processes_in(folder):
    """Ids of the processes that work in it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if str(folder) in os.readlink(entry):
                found.append(entry.parent.name)
        except OSError:
            continue  # it has ended
    return found


@unittest.skipIf(weir.sanitized(), "a story for people, over programs that other tests sanitize")
class Demo(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="weir-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "tmp").mkdir()

    def start(self, *arguments, programs=weir.BIN):
        out = open(self.folder / "out", "w")
        self.addCleanup(out.close)
        process = subprocess.Popen(
            [SCRIPT, *arguments], stdout=out, stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(self.folder / "tmp"), "WEIR_BIN": str(programs)},
            start_new_session=True, preexec_fn=weir.die_with_parent,
        )
        self.addCleanup(process.kill)
        return process

    def said(self):
        return (self.folder / "out").read_text()

    def check_nothing_left(self):
        self.assertEqual(list((self.folder / "tmp").iterdir()), [])
        weir.until(lambda: not processes_in(self.folder), "the end of all programs")

    def test_the_story_is_the_one_that_the_readme_shows(self):
        code = self.start().wait(STORY_LIMIT_SECONDS)
        self.assertEqual(code, 0, self.said())
        self.check_nothing_left()
        readme = shown.output_of((weir.ROOT / "README.md").read_text(), "scripts/demo.sh")
        self.assertIsNone(shown.missing(readme, self.said().splitlines()), self.said())

    def test_the_fast_form_leaves_out_only_the_wait_at_the_end(self):
        self.assertEqual(self.start("--fast").wait(STORY_LIMIT_SECONDS), 0, self.said())
        self.check_nothing_left()
        for chapter in range(1, 6):
            self.assertIn(f"\n-- {chapter}. ", self.said())
        self.assertNotIn("\n-- 6. ", self.said())

    def test_a_wrong_number_fails_it(self):
        programs = self.folder / "bin"
        programs.mkdir()
        for name in ("weir-processor", "weir-producer"):
            (programs / name).symlink_to(weir.BIN / name)
        (programs / "weir-projector").write_text(
            f'#!/bin/bash\n[ "$1" = query ] || exec "{weir.BIN}/weir-projector" "$@"\n'
            f'"{weir.BIN}/weir-projector" "$@" | sed "s/\\b97$/98/"\n'
        )
        (programs / "weir-projector").chmod(0o755)
        self.assertEqual(self.start("--fast", programs=programs).wait(STORY_LIMIT_SECONDS), 1, self.said())
        self.assertIn("this should be there: widget-A        97", self.said())
        self.check_nothing_left()

    def test_ctrl_c_leaves_nothing_behind(self):
        process = self.start("--fast")
        weir.until(lambda: "-- 2. " in self.said() or process.poll() is not None, "the second chapter", limit=120)
        os.killpg(process.pid, signal.SIGINT)
        self.assertEqual(process.wait(weir.LIMIT_SECONDS), 130, self.said())
        self.check_nothing_left()


if __name__ == "__main__":
    weir.main()
