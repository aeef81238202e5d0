"""The harness of the integration tests: the three programs in folders of their own, and clients
that speak docs/protocol.md through pyzmq and msgpack alone.

A Station is a run folder, a store and the programs over them. When it closes after a test that did not
fail, `weir-processor verify` proves its log, and folding the log must give the digest of the state that
the processor had when it stopped: replay equals live, after every test. Whatever happens to a test, its
programs end: each is told by the kernel when the test process dies, and Station.close kills what is
left. Waiting is always for a condition, with a generous limit; nothing here is timed.
"""

import collections
import contextlib
import ctypes
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import msgpack
import zmq

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("WEIR_BIN", ROOT / "build/dev/bin"))
SECOND = 1_000_000_000
LIMIT_SECONDS = float(os.environ.get("WEIR_LIMIT_SECONDS", "60"))
QUIET_SECONDS = 1.0  # without an ack: then a source sends again
NO_DIGEST = "0" * 16  # of a log that holds nothing yet, or was written by an older version
SANITIZER = re.compile(
    r"ERROR: (Address|Leak|Memory)Sanitizer|WARNING: ThreadSanitizer|runtime error:|SUMMARY: \w+Sanitizer"
)
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)

Accepted = collections.namedtuple("Accepted", "event_id accepted_at source sequence event")
Rejected = collections.namedtuple(
    "Rejected",
    "rejection_id rejected_at after_event_id reason detail source sequence count type subject"
    " policy key retry_after evidence",
)
Ack = collections.namedtuple(
    "Ack", "log_id source epoch first_sequence last_sequence status refusals"
)
Hello = collections.namedtuple("Hello", "log_id epoch last_sequence")


def sanitized():
    """Are the programs built with a sanitizer (whose memory says nothing about theirs)?"""
    return b"__tsan_" in (binary := (BIN / "weir-processor").read_bytes()) or b"__asan_" in binary


def count(name, default):
    """A test's size: small in CI, larger through the environment."""
    return int(os.environ.get(name, default))


def until(condition, what, limit=None):
    """Polls until condition() is true and returns its value."""
    deadline = time.monotonic() + (limit or LIMIT_SECONDS)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain: {what}")
        time.sleep(0.005)


# ---- MessagePack ----------------------------------------------------------------------------------


def pack(*items):
    """MessagePack values one after another."""
    return b"".join(msgpack.packb(item, use_bin_type=True) for item in items)


def unpack_all(body):
    unpacker = msgpack.Unpacker(
        raw=False, strict_map_key=False, unicode_errors="surrogateescape", max_buffer_size=2**31 - 1
    )
    unpacker.feed(body)
    return list(unpacker)


def unpack(frame):
    items = unpack_all(frame)
    assert len(items) == 1, f"{len(items)} values in one frame"
    return items[0]


def event(type="order.created", subject="s", data=None, occurred_at=1, schema_version=1, attributes=None):
    items = [occurred_at, type, subject, schema_version, {} if data is None else data]
    return items if attributes is None else items + [attributes]


LINE_SUBJECTS = 97


def write_lines(path, sources, number, padding=0):
    """A JSON Lines file: `number` orders, the sources in turn. The nth order of a source says so."""
    with open(path, "w") as file:
        for line in range(number):
            source = sources[line % len(sources)]
            order = line // len(sources) + 1
            file.write(json.dumps({
                "specversion": "1.0", "source": source, "type": "order.created", "subject": f"s-{line % LINE_SUBJECTS}",
                "data": {"order": order, "status": "pending", "padding": "x" * padding},
            }) + "\n")


def submission(source, epoch, first_sequence, events):
    return pack([1, source, epoch, first_sequence, len(events)], *events)


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

    def __init__(self, limits=(), policy=None, store=None, proves_log=True):
        """proves_log: False where the test damages the store on purpose."""
        self.proves_log = proves_log
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


# ---- clients --------------------------------------------------------------------------------------


class ControlError(Exception):
    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class Control:
    """Requests and replies; each request carries a number in a frame before it."""

    def __init__(self, context, endpoint):
        self.context = context
        self.endpoint = endpoint
        self.number = 0
        self.socket = None
        self.connect()

    def connect(self):
        self.close()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(self.endpoint)

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None

    def exchange(self, frames, limit=None):
        """Sends raw frames behind a number; gives the reply's frames, without the number."""
        self.number += 1
        tag = b"%d" % self.number
        self.socket.send_multipart([tag, *frames])
        deadline = time.monotonic() + (limit or LIMIT_SECONDS)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not self.socket.poll(int(left * 1000) + 1):
                raise AssertionError(f"no answer from {self.endpoint}")
            reply = self.socket.recv_multipart()
            if reply[0] == tag:
                return reply[1:]

    def request(self, *items, limit=None):
        """The reply's items behind "ok", and the record body (b"" if there is none)."""
        frames = self.exchange([pack([1, *items])], limit)
        reply = unpack(frames[0])
        assert reply[0] == 1, reply
        if reply[1] != "ok":
            assert reply[1] == "error" and len(reply) == 4, reply
            raise ControlError(reply[2], reply[3])
        return reply[2:], frames[1] if len(frames) > 1 else b""

    def hello(self, source):
        return Hello(*self.request("hello", source)[0])

    def status(self):
        return self.request("status")[0][0]

    def seek(self, stream, time_ns):
        return self.request("seek", stream, time_ns)[0][0]

    def replay(self, stream, first=1, max=10000):
        """(log_id, first_id, count, last_id) and the records."""
        items, body = self.request("replay", stream, first, max)
        records = unpack_all(body)
        assert len(records) == items[2], f"{len(records)} records, reply says {items}"
        return items, [(Accepted if stream == "accepted" else Rejected)(*record) for record in records]

    def replay_all(self, stream, first=1):
        """Every record from `first` on, checked to be gapless."""
        records = []
        while True:
            items, more = self.replay(stream, first)
            if not more:
                assert first == items[3] + 1, f"nothing at {first}, last is {items[3]}"
                return records
            assert [record[0] for record in more] == list(range(first, first + len(more)))
            records += more
            first += len(more)

    def view(self, name, at=None):
        return self.request("view", name, at)[0][0]


class Ingest:
    """A PUSH socket: whole submissions or raw frames."""

    def __init__(self, context, endpoint):
        self.socket = context.socket(zmq.PUSH)
        self.socket.linger = 0
        self.socket.sndhwm = 100000
        self.socket.reconnect_ivl = 10
        self.socket.sndtimeo = int(LIMIT_SECONDS * 1000)
        self.socket.connect(endpoint)

    def send(self, source, epoch, first_sequence, events):
        self.socket.send(submission(source, epoch, first_sequence, events))

    def raw(self, *frames):
        self.socket.send_multipart(frames)

    def close(self):
        self.socket.close()


class Feed:
    """A subscriber. Unless told otherwise it waits until it is known to be joined: it has then
    seen a heartbeat behind its subscriptions."""

    def __init__(self, context, endpoint, topics, joined=True):
        self.socket = context.socket(zmq.SUB)
        self.socket.linger = 0
        self.socket.rcvhwm = 0
        for topic in (*topics, "heartbeat"):
            self.socket.subscribe(topic)
        self.socket.connect(endpoint)
        self.backlog = collections.deque()
        if joined:
            self.until_heartbeat(lambda heartbeat: True)

    def close(self):
        self.socket.close()

    def receive(self, limit):
        """(topic, header, body) or None after `limit` seconds without one."""
        if not self.socket.poll(int(limit * 1000)):
            return None
        frames = self.socket.recv_multipart()
        return frames[0].decode(), unpack(frames[1]), frames[2] if len(frames) > 2 else b""

    def take(self, limit):
        """As receive, but what until_heartbeat laid aside comes first."""
        return self.backlog.popleft() if self.backlog else self.receive(limit)

    def until_heartbeat(self, condition):
        """Lays aside everything until a heartbeat [1, log_id, event id, rejection id, now] suits."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < deadline:
            message = self.receive(1)
            if message and message[0] == "heartbeat":
                if condition(message[1]):
                    return message[1]
            elif message:
                self.backlog.append(message)
        raise AssertionError("no such heartbeat")

    def messages(self, topic, enough):
        """Messages of one topic until enough(list) is true; others are dropped."""
        found = []
        deadline = time.monotonic() + LIMIT_SECONDS
        while not enough(found):
            if time.monotonic() > deadline:
                raise AssertionError(f"waited in vain for {topic}: have {len(found)}")
            message = self.take(0.2)
            if message and message[0] == topic:
                found.append(message)
        return found


class Acks:
    """All acks, sorted by the source in their header."""

    def __init__(self, context, endpoint):
        self.feed = Feed(context, endpoint, ["ack/"])
        self.by_source = collections.defaultdict(collections.deque)

    def close(self):
        self.feed.close()

    def next(self, source, quiet=lambda: None):
        """The next ack for a source; calls quiet() after each second without one: an ack that comes
        behind a flood of others can be lost."""
        deadline = time.monotonic() + LIMIT_SECONDS
        quiet_at = time.monotonic() + QUIET_SECONDS
        while not self.by_source[source]:
            if time.monotonic() > deadline:
                raise AssertionError(f"no ack for {source}")
            if time.monotonic() > quiet_at:
                quiet()
                quiet_at += QUIET_SECONDS
            message = self.feed.take(0.2)
            if message and message[0].startswith("ack/"):
                ack = Ack(*message[1][1:])
                assert message[0] == f"ack/{ack.source}/", message
                self.by_source[ack.source].append(ack)
        return self.by_source[source].popleft()


class Source:
    """A sequenced producer in miniature: says hello, numbers events, hears its acks."""

    def __init__(self, station, name):
        self.station = station
        self.name = name
        self.ingest = Ingest(station.context, station.endpoint("ingest"))
        self.acks = station.acks()
        control = Control(station.context, station.endpoint("control"))
        self.log_id, self.epoch, self.last_sequence = control.hello(name)
        control.close()
        self.acknowledged = self.last_sequence
        self.sent = collections.deque()  # (first sequence, events), not acknowledged yet
        self.refusals = {}

    def close(self):
        self.ingest.close()

    def send(self, events):
        """Submits without waiting."""
        self.ingest.send(self.name, self.epoch, self.last_sequence + 1, events)
        self.sent.append((self.last_sequence + 1, events))
        self.last_sequence += len(events)

    def resend(self):
        while self.sent and self.sent[0][0] + len(self.sent[0][1]) <= self.acknowledged + 1:
            self.sent.popleft()
        assert self.sent and self.sent[0][0] <= self.acknowledged + 1, "an ack of raw bytes was lost"
        for first, events in self.sent:
            self.ingest.send(self.name, self.epoch, first, events)

    def next_ack(self):
        """The next ack for this epoch; older ones belong to a predecessor."""
        while (ack := self.acks.next(self.name, self.resend)).epoch < self.epoch:
            pass
        return ack

    def wait(self):
        """Until everything submitted has its verdict. Gives {sequence: (reason, policy, wait)} of
        what was refused since the last call."""
        refused = {}
        while self.acknowledged < self.last_sequence:
            ack = self.next_ack()
            assert ack.status == "ok", ack
            if ack.first_sequence > self.acknowledged + 1:  # the one before it was lost
                self.resend()
                continue
            for sequence, reason, policy, retry_after in ack.refusals:
                assert ack.first_sequence <= sequence <= ack.last_sequence
                refused[sequence] = (reason, policy, retry_after)
            self.acknowledged = max(self.acknowledged, ack.last_sequence)
        self.refusals.update(refused)
        return refused

    def submit(self, events):
        self.send(events)
        return self.wait()


class Proxy(threading.Thread):
    """A way to the processor and back that loses things, or is slow; it looks at topics only."""

    def __init__(self, station, frame_loss=0, ack_loss=0, bytes_per_s=None):
        super().__init__(daemon=True)
        self.random = random.Random(count("WEIR_SEED", 1))
        self.frame_loss, self.ack_loss, self.bytes_per_s = frame_loss, ack_loss, bytes_per_s
        self.lost = {"frames": 0, "doubled": 0, "overtaken": 0, "acks": 0}
        self.ingest = f"ipc://{station.folder}/proxy-ingest"
        self.events = f"ipc://{station.folder}/proxy-events"
        self.stopping = threading.Event()
        self.context = zmq.Context()
        self.front = self.socket(zmq.PULL)
        self.front.rcvhwm = 8  # what waits here when its sender dies is only in the way
        self.front.bind(self.ingest)
        self.back = self.socket(zmq.PUSH)
        self.back.connect(station.endpoint("ingest"))
        self.feed = self.socket(zmq.SUB)
        self.feed.subscribe("")
        self.feed.connect(station.endpoint("events"))
        self.out = self.socket(zmq.PUB)
        self.out.bind(self.events)

    def socket(self, kind):
        socket = self.context.socket(kind)
        socket.linger = 0
        return socket

    def run(self):
        poller = zmq.Poller()
        poller.register(self.front, zmq.POLLIN)
        poller.register(self.feed, zmq.POLLIN)
        held = None
        while not self.stopping.is_set():
            ready = dict(poller.poll(20))
            if self.front in ready:
                frames = self.front.recv_multipart()
                if self.bytes_per_s:
                    time.sleep(len(frames[0]) / self.bytes_per_s)
                held = self.forward(frames, held)
            elif held:
                self.back.send_multipart(held)
                held = None
            if self.feed in ready:
                frames = self.feed.recv_multipart()
                if frames[0].startswith(b"ack/") and self.random.random() < self.ack_loss:
                    self.lost["acks"] += 1
                else:
                    self.out.send_multipart(frames)
        self.context.destroy(linger=0)

    def forward(self, frames, held):
        """Sends, drops, doubles or holds one submission; gives what is held back."""
        luck = self.random.random()
        if luck < self.frame_loss:
            self.lost["frames"] += 1
            return held
        if held is None and luck < 2 * self.frame_loss:
            self.lost["overtaken"] += 1
            return frames
        self.back.send_multipart(frames)
        if held:
            self.back.send_multipart(held)
        if luck > 1 - self.frame_loss:
            self.lost["doubled"] += 1
            self.back.send_multipart(frames)
        return None

    def stop(self):
        self.stopping.set()
        self.join()


class Verdicts:
    """What the log says about every sequence; the check of "nothing lost, nothing doubled"."""

    def __init__(self, control):
        self.accepted = control.replay_all("accepted")
        self.rejected = control.replay_all("rejected")
        self.of = {}
        for record in self.accepted:
            self.note(record.source, record.sequence, "accepted")
        for record in self.rejected:
            assert record.sequence is not None or record.count == 1, "a summary: too fast to be checked"
            if record.sequence:
                for sequence in range(record.sequence, record.sequence + record.count):
                    self.note(record.source, sequence, record.reason)

    def note(self, source, sequence, verdict):
        assert (source, sequence) not in self.of, f"two verdicts on {source} {sequence}"
        self.of[source, sequence] = verdict

    def check_upload(self, sources, number):
        """The lines of write_lines: one verdict each, in their order, with their content."""
        wanted = {(sources[line % len(sources)], line // len(sources) + 1) for line in range(number)}
        assert wanted == set(self.of), (
            f"missing {sorted(wanted - set(self.of))[:5]}, too many {sorted(set(self.of) - wanted)[:5]}"
        )
        last = collections.Counter()
        for record in self.accepted:
            assert record.sequence > last[record.source], f"out of order: {record}"
            last[record.source] = record.sequence
            assert record.event[4]["order"] == record.sequence, record

    def check_acks(self, acks):
        """What was acknowledged is in the log, with the same verdict."""
        for ack in acks:
            refused = {refusal[0]: refusal[1] for refusal in ack.refusals}
            if ack.status == "ok":
                for sequence in range(ack.first_sequence, ack.last_sequence + 1):
                    verdict = self.of[ack.source, sequence]
                    assert (verdict == "accepted") == (sequence not in refused), (ack, sequence)
                    assert refused.get(sequence) in (None, verdict), (ack, sequence, verdict)


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
