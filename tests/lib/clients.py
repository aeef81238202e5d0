"""Clients that speak docs/protocol.md through pyzmq and msgpack alone: requests, submissions, a
subscriber, acks, a sequenced source, a way that loses things, and what the log says of each sequence."""

import collections
import random
import threading
import time

import zmq
from messages import Accepted, Ack, Hello, Rejected, pack, submission, unpack, unpack_all
from waiting import LIMIT_SECONDS, count

QUIET_SECONDS = 1.0  # without an ack: then a source sends again


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
        """All that has no ack; nothing while the next sequence is one of raw bytes, which are not kept."""
        while self.sent and self.sent[0][0] + len(self.sent[0][1]) <= self.acknowledged + 1:
            self.sent.popleft()
        if self.sent and self.sent[0][0] <= self.acknowledged + 1:
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
