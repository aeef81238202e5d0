"""Snapshots over the real processor: a start from a snapshot gives the state that the whole log gives,
also after a kill at any moment and with snapshots that are damaged or of another log.

WEIR_KILLS: kills while snapshots are written (default 5).  WEIR_SEED: of the moments.
"""

import random
import re
import shutil
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402
from logfile import crc32c  # noqa: E402
from small_log import PADDING, SMALL, fill, place, segments, snapshots  # noqa: E402


class Snapshots(unittest.TestCase):
    def setUp(self):
        self.random = random.Random(weir.count("WEIR_SEED", 1))

    def state_of_the_whole_log(self, station):
        """Starts once without snapshots: every batch is folded, and its digest compared."""
        shutil.rmtree(Path(station.store) / "snapshots", ignore_errors=True)
        station.start_processor(*SMALL)
        return place(station.control().status())

    def test_a_start_from_a_snapshot_is_the_start_from_the_whole_log(self):
        with weir.Station(limits=['"p";q=30;w=3600;pk=subject']) as station:
            station.start_processor(*SMALL)
            source = station.source("s")
            fill(station, source, 24_000)
            weir.until(lambda: len(snapshots(station)) >= 4, "four snapshots")
            before = place(station.control().status())
            self.assertGreater(before[1], 0)
            station.processor.kill()
            program = station.start_processor(*SMALL)
            self.assertEqual(place(station.control().status()), before)
            self.assertIn("folding on from a snapshot", program.log_text())
            program.stop()
            self.assertEqual(self.state_of_the_whole_log(station), before)

    def test_damaged_and_foreign_snapshots_are_passed_over(self):
        with weir.Station(limits=['"p";q=30;w=3600;pk=subject']) as station:
            program = station.start_processor(*SMALL)
            fill(station, station.source("s"), 24_000)
            weir.until(lambda: len(snapshots(station)) >= 4, "four snapshots")
            before = place(station.control().status())
            program.stop()
            kept = snapshots(station)
            damaged = bytearray(kept[-1].read_bytes())
            damaged[self.random.randrange(128, len(damaged))] ^= 1 << self.random.randrange(8)
            kept[-1].write_bytes(damaged)
            kept[-2].write_bytes(kept[-2].read_bytes()[:-3])
            with weir.Station() as other:  # a good snapshot, of another log
                program = other.start_processor(*SMALL)
                fill(other, other.source("s"), 12_000)
                weir.until(lambda: snapshots(other), "a snapshot")
                program.stop()
                foreign = Path(station.store) / "snapshots" / f"{10**12:020}.snap"
                shutil.copy(snapshots(other)[-1], foreign)
                shutil.copy(snapshots(other)[-1], kept[-3])
            program = station.start_processor(*SMALL)
            self.assertEqual(place(station.control().status()), before)
            before = len(snapshots(station))
            fill(station, station.source("s"), 12_000)
            weir.until(lambda: len(snapshots(station)) > before, "a new snapshot")  # looks for its beginning as well
            for path in (foreign, *kept[-3:]):
                warnings = re.findall(f"a snapshot cannot be used.*snapshot={int(path.stem)} ", program.log_text())
                self.assertEqual(len(warnings), 1, program.log_text())

    def test_kills_while_snapshots_are_written(self):
        with weir.Station(limits=['"p";q=40;w=3600;pk=subject']) as station:
            station.start_processor(*SMALL)
            for _ in range(weir.count("WEIR_KILLS", 5)):
                source = station.source("s")
                for first in range(0, 6_000, 500):
                    source.send([weir.event(subject=f"s-{i % 500}", data={"padding": PADDING})
                                 for i in range(first, first + 500)])
                time.sleep(self.random.random() * 0.2)
                station.processor.kill()
                source.close()
                station.start_processor(*SMALL)
            before = place(station.control().status())
            station.processor.stop()
            self.assertEqual(self.state_of_the_whole_log(station), before)

    def test_a_state_that_is_not_the_writers_stops_the_processor(self):
        with weir.Station() as station:
            program = station.start_processor(*SMALL)
            fill(station, station.source("s"), 1_000)
            program.stop()
            path = segments(station)[0]
            data = bytearray(path.read_bytes())
            at, before = 0, 0
            while data[at:at + 8] == b"\x89WEIR\r\n\x1a":  # forge one digest and mend the chain
                number = int.from_bytes(data[at + 24:at + 32], "little")
                sizes = [int.from_bytes(data[at + 80 + 4 * i:at + 84 + 4 * i], "little") for i in range(3)]
                data[at + 12:at + 16] = before.to_bytes(4, "little")
                if number == 1:
                    data[at + 104] ^= 1
                    station.proves_log = False  # that is what it does not hold any more
                before = crc32c(data[at:at + 124])
                data[at + 124:at + 128] = before.to_bytes(4, "little")
                at = (at + 128 + sum(sizes) + 7) // 8 * 8
            path.write_bytes(data)
            program = station.start_processor(*SMALL, ready=False)
            program.expected_exits = {1}
            self.assertEqual(program.wait(), 1)
            self.assertIn("This is a bug: please report it", program.log_text())
            self.assertIn("batch 1 ", program.log_text())


if __name__ == "__main__":
    weir.main()
