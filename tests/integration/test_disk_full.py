"""A full disk holds the producers and loses nothing; when there is room again it goes on by itself."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402

DISK_MB = 260
BALLAST_MB = 100
PADDING = 8000
LINES = 20_000  # 160 MB: more than fits beside the ballast


class DiskFull(unittest.TestCase):
    def hello_code(self, control):
        try:
            control.hello("late-comer")
            return "ok"
        except weir.ControlError as error:
            return error.code

    def test_a_full_disk_holds_and_then_resumes(self):
        with weir.small_disk(DISK_MB) as disk:
            with weir.Station(store=disk / "store") as station:
                ballast = disk / "ballast"
                ballast.write_bytes(bytes(BALLAST_MB << 20))
                station.start_processor()
                file = station.folder / "upload.jsonl"
                weir.write_lines(file, ["s"], LINES, padding=PADDING)
                sender = station.start_producer("send", file)
                control = station.control()
                weir.until(lambda: "no_space" in control.status()["problems"], "status says no_space")
                station.processor.wait_for_log("no_space")
                weir.until(lambda: self.hello_code(control) == "unavailable", "the last room is taken")
                held = control.status()["last_event_id"]
                self.assertTrue(0 < held < LINES)
                with self.assertRaises(weir.ControlError) as caught:
                    control.request("policy", "set", '[policy "one"]\nkey = source\nquota = 1\nwindow = 1s\n')
                self.assertEqual(caught.exception.code, "unavailable")
                self.assertEqual(control.request("policy", "get")[0][0], "", "nothing has changed")
                self.assertEqual(len(control.replay("accepted", held - 9, 10)[1]), 10, "reads go on")
                self.assertTrue(sender.running(), "the producer is held, not refused")
                ballast.unlink()
                self.assertEqual(sender.wait(), 0, sender.log_text())
                self.assertEqual(control.status()["problems"], [])
                verdicts = weir.Verdicts(control)
                verdicts.check_upload(["s"], LINES)
                self.assertEqual(len(verdicts.accepted), LINES)
                self.assertEqual(control.hello("late-comer").last_sequence, 0)

    def test_a_store_that_does_not_fit_at_all_is_refused(self):
        with weir.small_disk(20) as disk:
            with weir.Station(store=disk / "store") as station:
                code, _, error = station.run(
                    "processor", "run", "--store", station.store, "--run-dir", station.run_dir
                )
                self.assertEqual(code, 74, error)
                self.assertRegex(error, "space|full")


if __name__ == "__main__":
    weir.main()
