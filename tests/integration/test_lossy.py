"""Acks dropped on purpose and frames lost, doubled and overtaken on the way: a proxy stands between
`send` and the processor. The upload still ends with exactly one verdict on each line.

WEIR_LINES: lines of the upload (default 20,000).  WEIR_SEED: of the losses.
"""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402

SOURCES = ["a", "b"]


class Lossy(unittest.TestCase):
    def upload(self, frame_loss, ack_loss):
        lines = weir.count("WEIR_LINES", 20_000)
        quota = lines * 97 // 100 // weir.LINE_SUBJECTS
        with weir.Station(limits=[f'"per-subject";q={quota};w=3600;pk=subject']) as station:
            station.start_processor()
            proxy = weir.Proxy(station, frame_loss=frame_loss, ack_loss=ack_loss)
            proxy.start()
            try:
                file = station.folder / "upload.jsonl"
                weir.write_lines(file, SOURCES, lines, padding=100)
                sender = station.start_producer(
                    "send", file, "--ingest", proxy.ingest, "--events", proxy.events
                )
                self.assertIn(sender.wait(limit=300), (0, 2), sender.log_text())
            finally:
                proxy.stop()
            verdicts = weir.Verdicts(station.control())
            verdicts.check_upload(SOURCES, lines)
            self.assertEqual(len(verdicts.accepted), quota * weir.LINE_SUBJECTS)
            print(f"{lines} lines through a proxy that lost {proxy.lost}")
            return proxy.lost

    def test_lost_acks_cost_nothing_but_time(self):
        self.assertTrue(self.upload(0, 0.4)["acks"])

    def test_lost_doubled_and_overtaking_frames_cost_nothing_but_time(self):
        self.assertTrue(self.upload(0.15, 0)["frames"])

    def test_both_at_once(self):
        self.upload(0.1, 0.3)


if __name__ == "__main__":
    weir.main()
