"""Nothing lost, nothing doubled: kill -9 of the processor and of `send`, again and again, during one
upload. Afterwards each sequence has exactly one verdict, ids are gapless, order is kept, and what
was acknowledged before each kill is in the log.

WEIR_LINES: lines of the upload (default 30,000).  WEIR_KILLS: kills of each program (default 6).
WEIR_SEED: of the moments.
"""

import random
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402

SOURCES = ["tills/berlin", "tills/oslo", "tills/rome"]
SECONDS_PER_KILL = 0.3


class Crash(unittest.TestCase):
    def setUp(self):
        self.random = random.Random(weir.count("WEIR_SEED", 1))
        self.acks = []

    def listen(self, station):
        """Hears acks from now on; the first may be missed, which is no harm."""
        self.feed = station.feed("ack/", joined=False)

    def hear(self, seconds):
        """Notes the acks that arrive within `seconds`."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if message := self.feed.take(left):
                self.note(message)
        while message := self.feed.take(0):
            self.note(message)

    def note(self, message):
        if message[0].startswith("ack/"):
            self.acks.append(weir.Ack(*message[1][1:]))

    def hear_progress(self):
        """Until an ack with news arrives."""
        before = len(self.acks)
        weir.until(lambda: self.hear(0.005) or len(self.acks) > before or not self.sender.running(),
                   "progress of the upload")

    def send_until_acknowledged(self, source):
        """Until an ack with news arrives; the first ones may be missed."""
        before = len(self.acks)
        weir.until(
            lambda: source.send([weir.event()]) or self.hear(0.01) or len(self.acks) > before,
            "an ack before the kill",
        )

    def check_durable(self, station):
        """Right after a restart: what was acknowledged before is there."""
        verdicts = weir.Verdicts(station.control())
        verdicts.check_acks(self.acks)
        return verdicts

    def start_sender(self, station, file):
        """Through a slow proxy, so that one upload lasts for all the kills."""
        self.sender = station.start_producer("send", file, "--ingest", self.proxy.ingest)

    def test_kills_of_processor_and_sender_lose_and_double_nothing(self):
        lines = weir.count("WEIR_LINES", 30_000)
        kills = {"processor": weir.count("WEIR_KILLS", 6), "sender": weir.count("WEIR_KILLS", 6)}
        done = {"processor": 0, "sender": 0}
        quota = lines * 97 // 100 // weir.LINE_SUBJECTS
        with weir.Station(limits=[f'"per-subject";q={quota};w=3600;pk=subject']) as station:
            station.start_processor()
            self.listen(station)
            file = station.folder / "upload.jsonl"
            weir.write_lines(file, SOURCES, lines, padding=200)
            seconds = SECONDS_PER_KILL * sum(kills.values())
            self.proxy = weir.Proxy(station, bytes_per_s=file.stat().st_size / seconds)
            self.proxy.start()
            self.addCleanup(self.proxy.stop)
            self.start_sender(station, file)
            while done != kills and self.sender.running():
                self.hear_progress()
                self.hear(self.random.random() * 0.004)
                victims = [name for name in kills if done[name] < kills[name]]
                victim = self.random.choice(victims)
                if not self.sender.running():
                    break
                done[victim] += 1
                if victim == "sender":
                    self.sender.kill()
                    self.start_sender(station, file)
                else:
                    station.processor.kill()
                    self.hear(0)
                    self.feed.close()
                    station.start_processor()
                    self.listen(station)
            self.assertIn(self.sender.wait(), (0, 2), self.sender.log_text())
            self.hear(0.3)
            verdicts = self.check_durable(station)
            verdicts.check_upload(SOURCES, lines)
            refused = len(verdicts.of) - len(verdicts.accepted)
            print(f"{lines} lines, kills {done}: {len(verdicts.accepted)} accepted, {refused} refused,"
                  f" {len(self.acks)} acks heard")
            self.assertEqual(len(verdicts.accepted), quota * weir.LINE_SUBJECTS)
            self.assertEqual(done, kills, "the upload ended before all kills: more lines are needed")
            code, _, error = station.run("producer", "send", file, "--run-dir", station.run_dir)
            self.assertIn(code, (0, 2), error)
            self.assertEqual(
                station.control().status()["last_event_id"], len(verdicts.accepted), "a repeat does nothing"
            )

    def test_acknowledged_is_durable_at_each_kill(self):
        with weir.Station() as station:
            station.start_processor()
            self.listen(station)
            for life in range(weir.count("WEIR_KILLS", 6)):
                source = station.source("steady")
                for _ in range(self.random.randrange(1, 20)):
                    source.send([weir.event()] * self.random.choice((1, 10, 200)))
                if life % 2 == 0:
                    self.send_until_acknowledged(source)
                self.hear(self.random.random() * 0.003)
                station.processor.kill()
                self.hear(0)
                source.close()
                self.feed.close()
                station.start_processor()
                self.check_durable(station)
                self.listen(station)
            self.assertTrue(self.acks)


if __name__ == "__main__":
    weir.main()
