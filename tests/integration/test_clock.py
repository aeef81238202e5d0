"""The wall clock moved by an hour, forth and back, and to 1970: while the processor runs and between runs.

Each processor runs under tests/lib/fake_clock.c. Whatever the clock does, log time never decreases, the
oracle finds nothing over quota and nothing refused that would have fitted, and whoever is refused fits
again within one window of true time.
"""

import struct
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402
from oracle import MS, Policy, check_log, policy_text  # noqa: E402

SHIM = weir.BIN.parent / "tests" / "fake_clock.so"
HOUR = 3600 * weir.SECOND
WINDOW = 400 * MS
POLICIES = [Policy("per-subject", "*", "subject", 3, WINDOW, 1), Policy("hourly", "*", "source", 10000, HOUR, 1)]
PATIENCE = 100  # windows of true time: of a machine that is busy with other work


def to_1970():
    """The offset that makes it a second past the epoch."""
    return weir.SECOND - time.time_ns()


class Clock(unittest.TestCase):
    def setUp(self):
        self.station = weir.Station(policy=policy_text(POLICIES))
        self.addCleanup(self.station.close)
        self.clock = self.station.folder / "clock"
        self.clock.write_bytes(bytes(8))

    def set(self, offset_ns):
        with open(self.clock, "r+b") as file:
            file.write(struct.pack("=q", offset_ns))

    def start(self):
        station = self.station
        station.ack_feed = None
        station.processor = station.start(
            "processor", "run", "--store", station.store, "--run-dir", station.run_dir, *station.policy_arguments,
            environment={"LD_PRELOAD": str(SHIM), "WEIR_FAKE_CLOCK": str(self.clock)},
        )
        return station.processor.wait_ready()

    def burst(self, source):
        """Fills the window of one subject; gives what was refused at the end of it."""
        refused = source.submit([weir.event() for _ in range(8)])
        for reason, policy, wait in refused.values():
            self.assertEqual((reason, policy), ("rate_limited", "per-subject"))
            self.assertTrue(0 < wait <= WINDOW, wait)
        return refused

    def fits_after_its_wait(self, source):
        """Nobody is locked out: after the wait that was told, or a new one, an event fits. The waits are true time."""
        for _ in range(PATIENCE):
            refused = source.submit([weir.event()])
            if not refused:
                return
            ((_, _, wait),) = refused.values()
            self.assertTrue(0 < wait <= WINDOW, wait)
            time.sleep(wait / weir.SECOND)
        self.fail("locked out")

    def log(self):
        control = self.station.control()
        accepted, rejected = control.replay_all("accepted"), control.replay_all("rejected")
        check_log(POLICIES, accepted, rejected)
        return accepted, rejected

    def test_steps_while_it_runs_are_ignored_and_said(self):
        start = time.monotonic_ns()
        processor = self.start()
        source = self.station.source("s")
        for offset in (0, HOUR, -HOUR, to_1970(), 0):
            self.set(offset)
            self.assertTrue(self.burst(source))
            self.fits_after_its_wait(source)
        self.set(-HOUR)
        processor.wait_for_log("the wall clock and log time are apart.*wall_ahead_s=-3[56]")
        accepted, _ = self.log()
        took = accepted[-1].accepted_at - accepted[0].accepted_at
        self.assertLessEqual(took, time.monotonic_ns() - start)

    def test_steps_between_runs_never_turn_log_time_back(self):
        self.start()
        for offset in (-HOUR, to_1970(), 0):
            source = self.station.source("s")
            self.burst(source)
            self.station.processor.stop()
            self.set(offset)
            self.start()
            again = self.station.source("s")
            self.fits_after_its_wait(again)
        accepted, _ = self.log()
        self.assertLess(accepted[-1].accepted_at - accepted[0].accepted_at, HOUR)

    def test_a_step_forward_between_runs_is_a_time_without_the_processor(self):
        self.start()
        self.burst(self.station.source("s"))
        (before,) = self.station.control().replay_all("accepted")[-1:]
        self.station.processor.kill()
        self.set(HOUR)
        self.start()
        self.assertEqual(len(self.burst(self.station.source("s"))), 5)
        accepted, _ = self.log()
        self.assertGreaterEqual(accepted[before.event_id].accepted_at, before.accepted_at + HOUR)

    def test_after_a_start_in_the_future_log_time_stays_there_and_says_so(self):
        self.set(HOUR)
        self.start()
        source = self.station.source("s")
        self.burst(source)
        self.station.processor.kill()
        self.set(0)
        self.start().wait_for_log("the log's last time lies in the future.*ahead_s=3[56]")
        self.fits_after_its_wait(self.station.source("s"))
        self.log()

    def test_a_new_log_made_in_1970_goes_on_in_the_present(self):
        self.set(to_1970())
        self.start()
        self.burst(self.station.source("s"))
        self.station.processor.stop()
        self.set(0)
        self.start()
        self.assertEqual(len(self.burst(self.station.source("s"))), 5)
        accepted, _ = self.log()
        self.assertLess(accepted[0].accepted_at, HOUR)
        self.assertGreater(accepted[-1].accepted_at, 365 * 24 * HOUR)


if __name__ == "__main__":
    weir.main()
