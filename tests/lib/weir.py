"""The harness of the integration tests: the three programs in folders of their own. The messages and
clients of the tests (messages.py, clients.py) are here too, so that a test imports one module.

A Station is a run folder, a store and the programs over them. When it closes after a test that did not
fail, `weir-processor verify` proves its log, folding the log must give the digest of the state that the
processor had when it stopped, and projectors that stood at the same position must have had the same
views (agreement.py): replay equals live, after every test. Whatever happens to a test, its programs
end: each is told by the kernel when the test process dies, and Station.close kills what is left.
Waiting is always for a condition, with a generous limit; nothing here is timed.
"""

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import agreement
import zmq
from clients import Acks, Control, ControlError, Feed, Ingest, Proxy, Source, Verdicts  # noqa: F401
from messages import (  # noqa: F401
    LINE_SUBJECTS, Accepted, Ack, Hello, Rejected, event, pack, submission, unpack, unpack_all, write_lines,
)
from waiting import LIMIT_SECONDS, SECOND, count, until  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("WEIR_BIN", ROOT / "build/dev/bin"))
NO_DIGEST = "0" * 16  # of a log that holds nothing yet, or was written by an older version
SANITIZER = re.compile(
    r"ERROR: (Address|Leak|Memory)Sanitizer|WARNING: ThreadSanitizer|runtime error:|SUMMARY: \w+Sanitizer"
)
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def sanitized():
    """Are the programs built with a sanitizer (whose memory says nothing about theirs)?"""
    return b"__tsan_" in (binary := (BIN / "weir-processor").read_bytes()) or b"__asan_" in binary


# ---- programs -------------------------------------------------------------------------------------


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Program:
    """One running program; its stdout and stderr are files."""

    def __init__(self, command, folder, name, stdin=None, environment=None):
        self.command = [str(part) for part in command]
        self.log = folder / f"{name}.log"
        self.out = folder / f"{name}.out"
        self.expected_exits = {0}
        with open(self.log, "wb") as log, open(self.out, "wb") as out:
            self.process = subprocess.Popen(
                self.command,
                stdin=stdin if stdin is not None else subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env={**os.environ, **(environment or {})},
                preexec_fn=die_with_parent,
            )

    @property
    def pid(self):
        return self.process.pid

    def log_text(self):
        return self.log.read_text(errors="replace")

    def out_text(self):
        return self.out.read_text(errors="replace")

    def running(self):
        return self.process.poll() is None

    def wait_for_log(self, pattern):
        """Until a log line matches; fails at once when the program has ended."""
        expression = re.compile(pattern)

        def found():
            running = self.running()
            match = expression.search(self.log_text())
            if not match and not running:
                raise AssertionError(
                    f"{self.command} ended with {self.process.returncode}:\n{self.log_text()}"
                )
            return match

        return until(found, f"{pattern!r} in the log of {self.command}:\n{self.log_text()}")

    def wait_ready(self):
        self.wait_for_log(r'msg="?ready')
        return self

    def wait(self, limit=None):
        """The exit code. Negative: ended by a signal."""
        try:
            code = self.process.wait(limit or LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.command} does not end:\n{self.log_text()[-4000:]}") from None
        self.check_sanitizers()
        return code

    def signal(self, number):
        if self.running():
            self.process.send_signal(number)

    def stop(self):
        """SIGTERM, and the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self):
        """kill -9, and gone."""
        if self.running():
            self.process.kill()
        self.process.wait()

    def check_sanitizers(self):
        text = self.log_text()
        if SANITIZER.search(text):
            raise AssertionError(f"{self.command}: sanitizer report:\n{text[-8000:]}")

    def rss_bytes(self):
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"{self.command} has ended")


class Station:
    """A run folder, a store, and the programs over them; use it in a with statement."""

    def __init__(self, limits=(), policy=None, store=None, proves_log=True, compares_views=True):
        """proves_log: False where the test damages the store on purpose; compares_views: likewise, a
        projector's database."""
        self.proves_log = proves_log
        self.compares_views = compares_views
        self.folder = Path(tempfile.mkdtemp(prefix="weir-"))
        self.run_dir = self.folder / "run"
        self.store = Path(store) if store else self.folder / "store"
        self.policy_arguments = [part for limit in limits for part in ("--limit", limit)]
        if policy is not None:
            (self.folder / "policy.ini").write_text(policy)
            self.policy_arguments = ["--policy", self.folder / "policy.ini"]
        self.context = zmq.Context()
        self.programs = []
        self.clients = []
        self.processor = None
        self.ack_feed = None

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            for program in self.programs:
                sys.stderr.write(f"-- {program.log.name}\n{program.log_text()[-2000:]}\n")
        self.close(failed=kind is not None)

    def close(self, failed=False):
        try:
            self.stop_programs(failed)
            if not failed and self.proves_log and self.processor and (self.store / "log").exists():
                self.prove_log()
            if not failed and self.compares_views:
                agreement.check(self.databases())
        finally:
            for program in self.programs:
                program.kill()
            for client in self.clients:
                client.close()
            self.context.destroy(linger=0)
            shutil.rmtree(self.folder, ignore_errors=True)

    def stop_programs(self, failed):
        for program in reversed(self.programs):
            if not program.running():
                continue
            program.signal(signal.SIGCONT)
            code = program.stop()
            if not failed and code not in program.expected_exits:
                raise AssertionError(f"{program.command} ended with {code}:\n{program.log_text()}")

    def prove_log(self):
        """Everything in the log holds, and folding it gives the state that the processor had."""
        code, out, error = self.run("processor", "verify", "--store", self.store, "--json", limit=10 * LIMIT_SECONDS)
        assert code == 0, f"verify ended with {code}: {out[:4000]}\n{error[-2000:]}"
        live = re.findall(r"state_digest=([0-9a-f]{16})", self.processor.log_text())
        if self.processor.process.returncode == 0 and live and live[-1] != NO_DIGEST:
            folded = json.loads(out)["state_digest"]
            assert folded == live[-1], f"the processor stopped at {live[-1]}, folding its log gives {folded}"

    def databases(self):
        """Of the projectors that have ended well."""
        ended_well = (program for program in self.programs if program.process.returncode == 0)
        found = (re.search(r'msg="?ready"? name=.* db=(\S+)', program.log_text()) for program in ended_well)
        return {Path(ready[1]) for ready in found if ready}

    def start(self, program, *arguments, stdin=None, environment=None):
        """Starts weir-PROGRAM with the arguments as they are."""
        name = f"{len(self.programs)}-{program}-{arguments[0] if arguments else ''}"
        started = Program([BIN / f"weir-{program}", *arguments], self.folder, name, stdin, environment)
        self.programs.append(started)
        return started

    def start_processor(self, *arguments, ready=True):
        self.ack_feed = None  # a subscriber rejoins a new processor only in its own time
        self.processor = self.start(
            "processor", "run", "--store", self.store, "--run-dir", self.run_dir,
            *self.policy_arguments, *arguments,
        )
        return self.processor.wait_ready() if ready else self.processor

    def start_projector(self, name="main", *arguments, ready=True):
        projector = self.start(
            "projector", "run", "--name", name, "--run-dir", self.run_dir, *arguments
        )
        return projector.wait_ready() if ready else projector

    def start_producer(self, *arguments, stdin=None):
        producer = self.start(
            "producer", *arguments, "--run-dir", self.run_dir, stdin=stdin,
            environment={"XDG_STATE_HOME": str(self.folder / "state")},
        )
        producer.expected_exits = {0, 2}
        return producer

    def run(self, program, *arguments, input=None, limit=None):
        """Runs a command to its end; gives (exit code, stdout, stderr)."""
        done = subprocess.run(
            [str(BIN / f"weir-{program}"), *map(str, arguments)],
            input=input, capture_output=True, text=True, timeout=limit or LIMIT_SECONDS,
            env={**os.environ, "XDG_STATE_HOME": str(self.folder / "state")},
            preexec_fn=die_with_parent, check=False,
        )
        assert not SANITIZER.search(done.stderr), done.stderr
        return done.returncode, done.stdout, done.stderr

    def endpoint(self, name):
        return f"ipc://{self.run_dir}/{name}"

    def control(self, name="control"):
        return self.client(Control(self.context, self.endpoint(name)))

    def query(self, name="main"):
        return self.client(Control(self.context, self.endpoint(f"query-{name}")))

    def ingest(self):
        return self.client(Ingest(self.context, self.endpoint("ingest")))

    def feed(self, *topics, joined=True):
        return self.client(Feed(self.context, self.endpoint("events"), topics, joined))

    def source(self, name):
        return self.client(Source(self, name))

    def acks(self):
        """The one subscriber to all acks, which the sources share."""
        if self.ack_feed is None:
            self.ack_feed = self.client(Acks(self.context, self.endpoint("events")))
        return self.ack_feed

    def client(self, client):
        self.clients.append(client)
        return client


# ---- projectors -----------------------------------------------------------------------------------


def digests_at(queries, status, views=("order_counts", "limits")):
    """{view: {digest, …}} over several query clients, each brought to the ends of both streams, as the
    processor's `status` has them."""
    ends = (status["last_event_id"], status["last_rejection_id"])
    digests = {view: set() for view in views}
    for query in queries:
        for view in views:
            reply = until(
                lambda query=query, view=view: (
                    lambda r: r if r["event_id"] >= ends[0] and r["rejection_id"] >= ends[1] else None
                )(query.view(view)),
                f"{view} at event {ends[0]} and rejection {ends[1]}",
            )
            assert reply["event_id"] == ends[0], reply
            digests[view].add(reply["digest"])
    return digests


@contextlib.contextmanager
def small_disk(megabytes):
    """A tmpfs of its own; skips the test without root."""
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root to mount a tmpfs")
    folder = tempfile.mkdtemp(prefix="weir-disk-")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], capture_output=True
    )
    if mounted.returncode != 0:
        os.rmdir(folder)
        raise unittest.SkipTest(f"cannot mount a tmpfs: {mounted.stderr.decode().strip()}")
    try:
        yield Path(folder)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        os.rmdir(folder)


def main():
    """Runs the tests of a file; the size of each is in its environment variables."""
    unittest.main(verbosity=2)
