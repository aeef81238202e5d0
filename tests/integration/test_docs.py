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


def texts():
    return [*sorted(weir.ROOT.glob("*.md")), *sorted((weir.ROOT / "docs").rglob("*.md"))]


def documents():
    return [path for path in texts() if shown.blocks(path.read_text(), "console")]


def prose(path):
    """The text without its blocks of code."""
    return re.sub(r"(?ms)^```.*?^```", "", path.read_text())


def headings(path):
    """As links name them: lower case, spaces as hyphens, nothing but letters, digits, _ and -."""
    found = re.findall(r"(?m)^#+ (.+)$", prose(path))
    return [re.sub(r"[^\w-]", "", heading.strip().lower().replace(" ", "-")) for heading in found]


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
            weir.until(lambda: path.exists() and "ready" in path.read_text(), f"ready in {log[1]}")
        return [line for line in lines if not re.search(r"line \d+: +\d+ Killed ", line)]

    def close(self):
        os.killpg(self.bash.pid, signal.SIGKILL)
        self.bash.communicate()
        shutil.rmtree(self.folder)


class Docs(unittest.TestCase):
    def check(self, shell, command, expected):
        """Queries are asked again for a while: views follow the log, and the database them, a moment later."""
        asks = " query " in command or "sqlite3 " in command
        deadline = time.monotonic() + (weir.LIMIT_SECONDS if asks else 0)
        while not shown.same(expected, got := shell.run(command)):
            if time.monotonic() >= deadline:
                break
            time.sleep(0.05)
        else:
            return
        self.assertEqual(shown.normalised(got), shown.normalised(expected), command)

    def test_every_command_that_is_shown_does_what_is_shown(self):
        self.assertTrue(documents())
        for path in documents():
            with self.subTest(path.name):
                shell = Shell()
                self.addCleanup(shell.close)
                for command, expected in steps(path.read_text()):
                    self.check(shell, command, expected)

    def test_every_link_leads_to_a_file_and_to_a_heading_that_it_has(self):
        for path in texts():
            for target, heading in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", prose(path)):
                aim = path.parent / target if target else path
                self.assertTrue(aim.exists(), f"{path.name}: {target}")
                if heading:
                    self.assertIn(heading, headings(aim), f"{path.name}: {target}")

    def test_every_link_to_a_name_in_the_code_leads_to_a_file_that_has_it(self):
        found = 0
        for path in texts():
            for name, target in re.findall(r"\[`(?:struct )?(\w+)`\]\(([^)]+\.[ch])\)", path.read_text()):
                self.assertRegex((path.parent / target).read_text(), rf"\b{name}\b", f"{path.name}: {target}")
                found += 1
        self.assertGreater(found, 0)

    def test_every_script_that_is_named_is_there_and_knows_the_options_it_is_given(self):
        for path in texts():
            for script, arguments in re.findall(r"(scripts/[\w-]+\.sh)((?: +--?\w[\w-]*(?: \d+)?)*)", path.read_text()):
                self.assertTrue((weir.ROOT / script).exists(), f"{path.name}: {script}")
                source = (weir.ROOT / script).read_text()
                for option in re.findall(r"--[a-z][\w-]*", arguments):
                    self.assertRegex(source, rf"(?m)^  {option}\b", f"{path.name}: {script}")


if __name__ == "__main__":
    weir.main()
