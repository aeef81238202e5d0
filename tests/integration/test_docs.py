"""What the documents show is true: every command in a ```console block of README.md and docs/ is run,
and what it prints is compared with what stands below it, times, digests and rates aside."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import shown  # noqa: E402
import weir  # noqa: E402

END = "@@end@@"


def documents():
    paths = [weir.ROOT / "README.md", *sorted((weir.ROOT / "docs").rglob("*.md"))]
    return [path for path in paths if shown.blocks(path.read_text(), "console")]


def steps(text):
    """(command, expected lines) of all blocks in order."""
    found = []
    for block in shown.blocks(text, "console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


class Shell:
    """One bash in an empty folder that has the repository's docs, with the programs on its PATH."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="weir-docs-"))
        (self.folder / "docs").symlink_to(weir.ROOT / "docs")
        environment = {
            **os.environ, "PATH": f"{weir.BIN}:{os.environ['PATH']}", "XDG_STATE_HOME": str(self.folder / "state"),
        }
        self.bash = subprocess.Popen(
            ["bash", "--norc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, cwd=self.folder, env=environment, start_new_session=True, preexec_fn=weir.die_with_parent,
        )

    def run(self, command):
        """The lines it prints. A command left in the background is waited for until it is ready."""
        self.bash.stdin.write(f"{command}\necho; echo {END}\n")
        self.bash.stdin.flush()
        lines = []
        while (line := self.bash.stdout.readline()) and line != f"{END}\n":
            lines.append(line.rstrip("\n"))
        log = re.search(r"2>(\S+) &$", command)
        if log:
            path = self.folder / log[1]
            weir.until(lambda: path.exists() and "ready" in path.read_text(), f"ready in {log[1]}", limit=30)
        return [line for line in lines if not re.search(r"line \d+: +\d+ Killed ", line)]

    def close(self):
        os.killpg(self.bash.pid, signal.SIGKILL)
        self.bash.communicate()
        shutil.rmtree(self.folder)


class Docs(unittest.TestCase):
    def check(self, shell, command, expected):
        """Queries are asked again for a while: views follow the log, and the database them, a moment later."""
        tries = 200 if " query " in command or "sqlite3 " in command else 1
        for _ in range(tries):
            got = shell.run(command)
            if shown.same(expected, got):
                return
            time.sleep(0.05)
        self.assertEqual(shown.normalised(got), shown.normalised(expected), command)

    def test_every_command_that_is_shown_does_what_is_shown(self):
        self.assertTrue(documents())
        for path in documents():
            with self.subTest(path.name):
                shell = Shell()
                self.addCleanup(shell.close)
                for command, expected in steps(path.read_text()):
                    self.check(shell, command, expected)

    def test_every_link_between_documents_leads_somewhere(self):
        for path in [weir.ROOT / "README.md", weir.ROOT / "REFLECTION.md", *(weir.ROOT / "docs").rglob("*.md")]:
            for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
                self.assertTrue((path.parent / target).exists(), f"{path.name}: {target}")

    def test_every_link_to_a_name_in_the_code_leads_to_a_file_that_has_it(self):
        found = 0
        for path in [weir.ROOT / "README.md", weir.ROOT / "REFLECTION.md", *(weir.ROOT / "docs").rglob("*.md")]:
            for name, target in re.findall(r"\[`(?:struct )?(\w+)`\]\(([^)]+\.[ch])\)", path.read_text()):
                self.assertRegex((path.parent / target).read_text(), rf"\b{name}\b", f"{path.name}: {target}")
                found += 1
        self.assertGreater(found, 0)


if __name__ == "__main__":
    weir.main()
