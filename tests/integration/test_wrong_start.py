"""The wrong start: a clear message, the documented exit code, and nothing touched."""

import hashlib
import os
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402
from weir import event  # noqa: E402


def contents(folder):
    """Name → hash of all files below but the lock, in which the last holder leaves its pid."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


class WrongStart(unittest.TestCase):
    def assert_fails(self, station, code, words, program, *arguments):
        got, out, error = station.run(program, *arguments)
        self.assertEqual(got, code, error)
        self.assertEqual(out, "")
        for word in words:
            self.assertIn(word, error)

    def test_a_second_processor_on_the_same_store_or_run_folder_touches_nothing(self):
        with weir.Station() as station:
            station.start_processor()
            source = station.source("s")
            source.submit([event()] * 5)
            before = contents(station.store)
            other = station.folder / "other"
            other.mkdir()
            for store, run_dir in (
                (station.store, other / "run"), (other / "store", station.run_dir), (station.store, station.run_dir),
            ):
                with self.subTest(store=store.name, run_dir=run_dir.name):
                    self.assert_fails(
                        station, 75, [str(station.processor.pid)],
                        "processor", "run", "--store", store, "--run-dir", run_dir,
                    )
            self.assertEqual(contents(station.store), before)
            self.assertEqual(source.submit([event()]), {}, "the first one goes on")
            self.assertEqual(len(station.control().replay_all("accepted")), 6)

    def test_a_folder_that_cannot_be_written(self):
        with weir.Station() as station:
            file = station.folder / "a-file"
            file.write_text("")
            run_dir = station.run_dir
            self.assert_fails(station, 74, ["a-file"], "processor", "run", "--store", file / "store", "--run-dir", run_dir)
            self.assert_fails(station, 74, ["a-file"], "processor", "run", "--store", station.store, "--run-dir", file / "run")
            self.assert_fails(station, 74, ["/proc/weir"], "processor", "run", "--store", "/proc/weir", "--run-dir", run_dir)

    def test_a_bad_policy_is_named_with_its_line(self):
        cases = [
            ("[policy \"a\"]\nquota = 1\nwindow = 1s\nqota = 2\n", ":4"),
            ("[policy \"a\"]\nquota = 0\nwindow = 1s\n", ":2"),
            ("[policy \"a\"]\nquota = 1\nwindow = 32d\n", ":3"),
            ("[policy \"a\"]\nquota = 1\nwindow = 1\n", ":3"),
            ("[policy \"a\"]\nkey = colour\nquota = 1\nwindow = 1s\n", ":2"),
            ("[policy \"a b\"]\nquota = 1\nwindow = 1s\n", ":1"),
            ("quota = 1\n", ":1"),
            ("[policy \"a\"]\nwindow = 1s\n", "quota"),
            ("[policy \"a\"]\nquota = 1\nwindow = 1s\n[policy \"a\"]\nquota = 1\nwindow = 1s\n", ":4"),
        ]
        with weir.Station() as station:
            file = station.folder / "bad.ini"
            for text, where in cases:
                with self.subTest(text):
                    file.write_text(text)
                    self.assert_fails(
                        station, 78, ["bad.ini", where],
                        "processor", "run", "--store", station.store, "--run-dir", station.run_dir, "--policy", file,
                    )
            self.assert_fails(
                station, 78, ["no-such.ini"],
                "processor", "run", "--store", station.store, "--run-dir", station.run_dir, "--policy", station.folder / "no-such.ini",
            )
            self.assert_fails(
                station, 78, ["q=0"],
                "processor", "run", "--store", station.store, "--run-dir", station.run_dir, "--limit", '"a";q=0;w=1;pk=source',
            )
            self.assertFalse(station.store.exists() and contents(station.store), "nothing was made")

    def test_a_bad_endpoint(self):
        with weir.Station() as station:
            for endpoint in ("nonsense", "ipc://@abstract", "udp://127.0.0.1:1"):
                with self.subTest(endpoint):
                    self.assert_fails(
                        station, 78, [endpoint], "processor", "run", "--store", station.store,
                        "--run-dir", station.run_dir, "--ingest", endpoint,
                    )
            long = station.folder / ("x" * 120)
            self.assert_fails(station, 78, ["107"], "processor", "run", "--store", station.store, "--run-dir", long)

    def test_a_run_folder_that_others_may_write_in(self):
        with weir.Station() as station:
            station.run_dir.mkdir()
            station.run_dir.chmod(0o777)
            self.assert_fails(
                station, 78, [str(station.run_dir)],
                "processor", "run", "--store", station.store, "--run-dir", station.run_dir,
            )

    def test_no_processor_to_talk_to(self):
        with weir.Station() as station:
            station.run_dir.mkdir(mode=0o700)
            file = station.folder / "one.jsonl"
            weir.write_lines(file, ["s"], 1)
            self.assert_fails(station, 69, [str(station.run_dir)], "producer", "send", file, "--run-dir", station.run_dir)
            self.assert_fails(
                station, 69, [str(station.run_dir)], "projector", "query", "order_counts", "--run-dir", station.run_dir
            )

    def test_wrong_usage(self):
        with weir.Station() as station:
            for program, *arguments in (
                ("processor",), ("processor", "nonsense"), ("processor", "run"), ("processor", "run", "--stor", "x"),
                ("processor", "run", "--store"), ("processor", "run", "--store", "x", "operand"),
                ("producer", "send"), ("producer", "send", "a", "b"), ("producer", "generate", "--rate", "fast"),
                ("producer", "generate", "--count", "-1"), ("projector", "query"), ("projector", "run", "--unknown"),
            ):
                with self.subTest(arguments=[program, *arguments]):
                    self.assert_fails(station, 64, ["--help"], program, *arguments)

    def start_without(self, station, descriptors, program, *arguments):
        closings = " ".join(f"{descriptor}>&-" for descriptor in descriptors)
        command = ["sh", "-c", f'exec "$0" "$@" {closings}', weir.BIN / f"weir-{program}", *arguments]
        return weir.Program(command, station.folder, f"{program}-without-{''.join(map(str, descriptors))}")

    def test_a_closed_standard_input_is_told_and_not_waited_for(self):
        with weir.Station() as station:
            station.start_processor()
            for arguments in (("producer", "send", "-", "--run-dir", station.run_dir), ("projector", "fold")):
                with self.subTest(arguments=arguments):
                    started = self.start_without(station, [0], *arguments)
                    self.assertEqual(started.wait(), 74, started.log_text())
                    self.assertIn("Bad file descriptor", started.log_text())

    def test_a_processor_without_standard_descriptors_serves_and_stops(self):
        with weir.Station() as station:
            processor = self.start_without(
                station, [0, 1, 2], "processor", "run", "--store", station.store, "--run-dir", station.run_dir)
            source = station.source("s")
            self.assertEqual(source.submit([event()] * 3), {})
            held = {os.readlink(f"/proc/{processor.pid}/fd/{descriptor}") for descriptor in range(3)}
            self.assertEqual(held, {"/dev/null"})
            self.assertEqual(processor.stop(), 0)

    def test_help_and_version_go_to_stdout(self):
        with weir.Station() as station:
            for program in ("processor", "producer", "projector"):
                for arguments in (["--help"], ["-h"], ["--version"]):
                    code, out, error = station.run(program, *arguments)
                    self.assertEqual((code, error), (0, ""))
                    self.assertIn(f"weir-{program}", out)
            code, out, _ = station.run("processor", "run", "--help")
            self.assertEqual(code, 0)
            self.assertIn("--store", out)

    def test_bad_input_lines(self):
        with weir.Station() as station:
            station.start_processor()
            for number, (line, word) in enumerate((
                ("not json", "lines-0.jsonl:2"), ('{"source": "s"}', "type"),
                ('{"type": "a.b", "source": "a b"}', "source"), ('{"type": "A", "source": "s"}', "type"),
                ('{"type": "a.b", "source": "s", "time": "noon"}', "time"),
                ('{"type": "a.b", "source": "s", "data": [1]}', "data"), ("[1]", "lines-6.jsonl:2"),
                ('{"type": "a.b", "source": "weir"}', "weir"), ('{"type": "weir.x", "source": "s"}', "weir"),
            )):
                with self.subTest(line):
                    good = f'{{"type": "a.b", "source": "good-{number}"}}\n'
                    file = station.folder / f"lines-{number}.jsonl"
                    file.write_text(good + line + "\n" + good)
                    code, _, error = station.run("producer", "send", file, "--run-dir", station.run_dir)
                    self.assertEqual(code, 65, error)
                    self.assertIn(word, error)

    def test_damage_in_the_middle_of_the_log_stops_the_start_and_is_named(self):
        with weir.Station() as station:
            station.start_processor()
            for number in range(3):
                station.source(f"s-{number}").submit([event(data={"x": f"needle-{number}"})])
            station.processor.stop()
            segment, = (path for path in station.store.rglob("*") if path.is_file() and b"needle-0" in path.read_bytes())
            data = bytearray(segment.read_bytes())
            at = data.index(b"needle-0")
            data[at] ^= 1
            segment.write_bytes(data)
            before = contents(station.store)
            self.assert_fails(
                station, 74, [segment.name, "offset"],
                "processor", "run", "--store", station.store, "--run-dir", station.run_dir,
            )
            self.assertEqual(contents(station.store), before)
            data[at] ^= 1
            segment.write_bytes(data)
            station.start_processor()
            self.assertEqual(len(station.control().replay_all("accepted")), 3)

    def test_a_torn_last_batch_is_set_aside_with_a_warning(self):
        with weir.Station() as station:
            station.start_processor()
            source = station.source("s")
            for number in range(3):
                source.submit([event(data={"x": f"needle-{number}"})])
            station.processor.kill()
            segment, = (path for path in station.store.rglob("*") if path.is_file() and b"needle-2" in path.read_bytes())
            data = bytearray(segment.read_bytes())
            data[data.index(b"needle-2")] ^= 1
            segment.write_bytes(data)
            station.start_processor()
            station.processor.wait_for_log("level=warn.*set [0-9]+ bytes aside")
            self.assertEqual(len(station.control().replay_all("accepted")), 2)
            again = station.source("s")
            self.assertEqual(again.last_sequence, 2)
            self.assertEqual(again.submit([event()]), {})


if __name__ == "__main__":
    weir.main()
