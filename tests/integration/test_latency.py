"""weir-producer latency: all events are counted, stages lie in their order, percentiles rise, and
what cannot be known is left out and said so. Nothing here asserts how long anything takes.
"""

import json
import re
import signal
import sys
import threading
import time
import unittest
from pathlib import Path

import zmq

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402

STAGES = ("send", "decide", "sync", "deliver", "end_to_end", "acknowledge")
EVENTS, ENOUGH = 1500, 350
RISING = ("min", "p50", "p90", "p99", "p99.9", "p99.99", "max")


class Latency(unittest.TestCase):
    def measure(self, station, *arguments, endpoints=None):
        producer = station.start_producer("latency", *arguments, *(endpoints or ()))
        code = producer.wait()
        return code, producer.out_text(), producer.log_text()

    def check_stage(self, name, stage, count):
        self.assertEqual(stage["count"], count, name)
        values = [stage[key] for key in RISING]
        self.assertEqual(values, sorted(values), name)
        self.assertGreaterEqual(stage["mean"], stage["min"])
        self.assertLessEqual(stage["mean"], stage["max"])

    def check_stages(self, stages, count):
        """Each stage is whole, and together they are the way from end to end."""
        for name, stage in stages.items():
            self.check_stage(name, stage, count)
        whole = stages["end_to_end"]
        parts = [stages[name] for name in ("send", "decide", "sync", "deliver") if name in stages]
        for part in parts:
            self.assertLessEqual(part["max"], whole["max"])
            self.assertLessEqual(part["mean"], whole["mean"])
        if len(parts) == 4:
            self.assertAlmostEqual(sum(part["mean"] for part in parts), whole["mean"], delta=4)

    def test_every_event_is_counted_in_every_stage(self):
        with weir.Station() as station:
            station.start_processor()
            for rate, count in ((1000, 500), (20000, 10000)):
                code, out, log = self.measure(station, "--rate", rate, "--count", count, "--json")
                self.assertEqual(code, 0, log)
                report = json.loads(out)
                print(rate, report["stages"]["end_to_end"])
                self.assertEqual(report["rate"], rate)
                self.assertEqual((report["events"], report["accepted"], report["refused"], report["seen"]),
                                 (count, count, 0, count))
                self.assertIsNone(report["left_out"])
                self.assertEqual(tuple(report["stages"]), STAGES)
                self.check_stages(report["stages"], count)

    def test_refused_events_are_acknowledged_and_not_seen(self):
        with weir.Station(limits=['"all";q=300;w=3600;pk=type']) as station:
            station.start_processor()
            code, out, log = self.measure(station, "--rate", 5000, "--count", 4000, "--json")
            self.assertEqual(code, 2, log)
            report = json.loads(out)
            self.assertGreater(report["refused"], 0)
            self.assertEqual(report["accepted"] + report["refused"], 4000)
            self.assertEqual(report["seen"], report["accepted"])
            self.check_stage("acknowledge", report["stages"].pop("acknowledge"), 4000)
            self.check_stages(report["stages"], report["accepted"])

    def test_other_traffic_is_told_apart(self):
        with weir.Station() as station:
            station.start_processor()
            other = station.start_producer("generate", "--rate", 2000, "--subjects", 50)
            code, out, log = self.measure(station, "--rate", 500, "--count", 300, "--json")
            self.assertEqual(code, 0, log)
            self.assertEqual(other.stop(), 0)
            self.check_stages(json.loads(out)["stages"], 300)

    def test_counts_from_the_due_time_when_the_processor_stalls(self):
        """Stopped for half a second, it makes hundreds of events late, not one."""
        with weir.Station() as station:
            station.start_processor()
            # On a busy machine the stall may come when few events are left.
            stages = weir.until(lambda: self.stalled(station), "a stall with enough events behind it")
            self.check_stages(stages, EVENTS)
            # So many of them, more than a tenth of all, were due in the first 350 ms of the stall.
            self.assertGreaterEqual(stages["end_to_end"]["p90"], 150_000_000)

    def stalled(self, station):
        """The stages, if the processor accepted at least ENOUGH of the events behind its stall."""
        control = station.control()
        before = control.status()["last_event_id"]
        producer = station.start_producer("latency", "--rate", 1000, "--count", EVENTS, "--json")
        weir.until(lambda: control.status()["last_event_id"] > before, "the first events")
        station.processor.signal(signal.SIGSTOP)
        time.sleep(0.5)
        station.processor.signal(signal.SIGCONT)
        self.assertEqual(producer.wait(), 0, producer.log_text())
        times = [record.accepted_at for record in control.replay_all("accepted", before + 1)]
        gaps = [later - earlier for earlier, later in zip(times, times[1:])]
        behind = len(gaps) - max(range(len(gaps)), key=gaps.__getitem__)
        return json.loads(producer.out_text())["stages"] if behind >= ENOUGH else None

    def test_says_what_it_leaves_out_when_the_clocks_cannot_be_compared(self):
        with weir.Station() as station:
            station.start_processor()
            with ForeignClock(station) as foreign:
                code, out, log = self.measure(
                    station, "--count", 200, "--json", endpoints=("--control", foreign.endpoint))
            self.assertEqual(code, 0, log)
            report = json.loads(out)
            self.assertEqual(report["left_out"], "the processor runs on another host")
            self.assertEqual(tuple(report["stages"]), ("send", "sync", "end_to_end", "acknowledge"))
            self.check_stages(report["stages"], 200)

    def test_prints_a_table_and_hdrhistogram_text(self):
        with weir.Station() as station:
            station.start_processor()
            path = station.folder / "end-to-end.hgrm"
            code, out, log = self.measure(station, "--count", 300, "--hgrm", path)
            self.assertEqual(code, 0, log)
            lines = out.splitlines()
            self.assertEqual(
                lines[0], "300 events at 1000/s: 300 accepted, 0 refused, 300 seen; times in µs")
            rows = [line for line in lines[3:]]
            self.assertEqual([row.split()[0] for row in rows], list(STAGES))
            for row in rows:
                values = [float(value) for value in row.split()[-6:]]
                self.assertEqual(values, sorted(values))
            self.check_hgrm(path.read_text(), 300, float(rows[4].split()[-1]))

    def check_hgrm(self, text, count, maximum):
        rows = [line.split() for line in text.splitlines() if re.match(r"\s+\d+\.\d+ [01]\.\d{12} ", line)]
        for column in (0, 1, 2):
            values = [float(row[column]) for row in rows]
            self.assertEqual(values, sorted(values))
        self.assertEqual(rows[-1][1:], ["1.000000000000", str(count)])
        self.assertAlmostEqual(float(rows[-1][0]), maximum, delta=0.1)
        self.assertRegex(text, rf"#\[Max     = +\d+\.\d+, Total count    = +{count}\]")

    def test_wrong_use_and_no_processor(self):
        with weir.Station() as station:
            self.assertEqual(station.run("producer", "latency", "--rate", 0)[0], 64)
            self.assertEqual(station.run("producer", "latency", "--source", "weir-x", "--run-dir",
                                         station.run_dir)[0], 64)
            code, _, err = station.run("producer", "latency", "--run-dir", station.run_dir)
            self.assertEqual(code, 69)
            self.assertIn("no processor answers", err)


class ForeignClock:
    """Stands between a producer and `control`, and sets the processor's CLOCK_BOOTTIME an hour back,
    as if it ran on another machine."""

    def __init__(self, station):
        self.endpoint = f"ipc://{station.folder}/foreign"
        self.front = station.context.socket(zmq.ROUTER)
        self.front.bind(self.endpoint)
        self.back = station.context.socket(zmq.DEALER)
        self.back.connect(station.endpoint("control"))
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.forward, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()
        for socket in (self.front, self.back):
            socket.close(linger=0)

    def forward(self):
        poller = zmq.Poller()
        for socket in (self.front, self.back):
            poller.register(socket, zmq.POLLIN)
        peer = None
        while not self.stopping.is_set():
            ready = dict(poller.poll(20))
            if self.front in ready:
                peer, *frames = self.front.recv_multipart()
                self.back.send_multipart(frames)
            if self.back in ready:
                *echo, reply = self.back.recv_multipart()
                self.front.send_multipart([peer, *echo, self.shift(reply)])

    def shift(self, reply):
        items = weir.unpack(reply)
        if isinstance(items[-1], dict) and "boottime" in items[-1]:
            items[-1]["boottime"] -= 3600 * weir.SECOND
        return weir.pack(items)


if __name__ == "__main__":
    weir.main()
