"""history: ranges of both streams against a naive oracle, on a store at rest and in use; the output is taken
back by send; following goes on over a restart; torn and damaged stores; a holder that is silent.
"""

import datetime
import fnmatch
import json
import os
import random
import signal
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402

EPOCH = datetime.datetime(1970, 1, 1)


def stamp(time_ns):
    seconds, rest = divmod(time_ns, weir.SECOND)
    return (EPOCH + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest:09}Z"


def write_file(path, rng, lines):
    """Events at rising times, many at the same one."""
    time_ns = 5 * weir.SECOND
    with open(path, "w") as file:
        for number in range(lines):
            time_ns += rng.choice((0, 0, 1, 999, weir.SECOND))
            file.write(json.dumps({
                "specversion": "1.0", "id": f"x{number}", "source": rng.choice(("a", "b/c")),
                "type": rng.choice(("order.created", "order.confirmed", "user.seen")),
                "subject": rng.choice(("s", "t", "ü")), "time": stamp(time_ns),
                "data": {"n": number, "text": 'q"\\\n\u00fc', "deep": {"x": [1.5, None, True, -3]}},
            }) + "\n")


class History(unittest.TestCase):
    def history(self, station, *arguments, code=0):
        done, out, err = station.run("processor", "history", "--store", station.store, *arguments)
        self.assertEqual(done, code, err)
        return [json.loads(line) for line in out.splitlines()] if code == 0 else err

    def fill(self, station, rng, lines=400, limit='"p";q=3;w=2;pk=source'):
        write_file(station.folder / "in.jsonl", rng, lines)
        code, _, err = station.run("processor", "batch", station.folder / "in.jsonl", "--store",
                                   station.store, "--limit", limit)
        self.assertIn(code, (0, 2), err)

    def test_ranges_are_those_of_a_naive_oracle(self):
        rng = random.Random(
            int(os.environ.get("WEIR_SEED", "7")))
        with weir.Station() as station:
            self.fill(station, rng)
            for stream, id_member, time_member in (
                ("accepted", "eventid", "acceptedat"), ("rejected", "rejectionid", "rejectedat"),
            ):
                every = self.history(station, "--stream", stream)
                self.assertGreater(len(every), 20)
                self.assertEqual([int(line[id_member]) for line in every], list(range(1, len(every) + 1)))
                for _ in range(weir.count("WEIR_RANGES", 60)):
                    self.one_range(station, rng, stream, every, id_member, time_member)

    def bound(self, rng, every, id_member, time_member, last_time):
        """A moment as text, and what it says of (id, time): −1 before it, 0 at it, 1 behind."""
        line = rng.choice(every)
        kind = rng.randrange(3)
        if kind == 0:
            number = rng.choice((0, 1, int(line[id_member]), len(every) + 5))
            return f"#{number}", lambda l: (int(l[id_member]) > number) - (int(l[id_member]) < number)
        time = line[time_member]
        if kind == 1:
            return time, lambda l: (l[time_member] > time) - (l[time_member] < time)
        back = rng.randrange(1, 40)
        at = stamp(last_time - back * weir.SECOND)
        return f"-{back}s", lambda l: (l[time_member] > at) - (l[time_member] < at)

    def one_range(self, station, rng, stream, every, id_member, time_member):
        arguments, expected = ["--stream", stream], every
        last_time = self.last_time_ns(station)
        for name in ("from", "to"):
            if rng.random() < 0.7:
                text, side = self.bound(rng, every, id_member, time_member, last_time)
                arguments += [f"--{name}", text]
                expected = [l for l in expected if (side(l) >= 0 if name == "from" else side(l) <= 0)]
        for name, values in (("subject", "stü"), ("source", ("a", "b/c")), ("type", ("order.*", "*.seen", "x"))):
            if rng.random() < 0.3:
                value = rng.choice(values)
                arguments += [f"--{name}", value]
                expected = [l for l in expected if fnmatch.fnmatchcase(l[name], value)]
        self.assertEqual(self.history(station, *arguments), expected, arguments)

    def last_time_ns(self, station):
        if not hasattr(self, "last"):
            times = [line["acceptedat"] for line in self.history(station)]
            times += [line["rejectedat"] for line in self.history(station, "--stream", "rejected")]
            last = max(times)
            whole = (datetime.datetime.strptime(last[:19], "%Y-%m-%dT%H:%M:%S") - EPOCH).total_seconds()
            self.last = int(whole) * weir.SECOND + int(last[20:29])
        return self.last

    def test_an_empty_range_is_no_error_and_bad_moments_are(self):
        with weir.Station() as station:
            self.fill(station, random.Random(1), 40)
            self.assertEqual(self.history(station, "--from", "#9", "--to", "#3"), [])
            self.assertEqual(self.history(station, "--from", "2030-01-01T00:00:00Z", "--to", "2020-01-01T00:00:00Z"), [])
            self.assertIn("--from '5'", self.history(station, "--from", "5", code=64))
            self.assertIn("--to '-5'", self.history(station, "--to", "-5", code=64))
            self.assertIn("no log", self.history(station, "--store", station.folder, code=74))

    def test_send_takes_the_output_back(self):
        with weir.Station() as station, weir.Station() as other:
            self.fill(station, random.Random(2), 60, '"p";q=1000;w=2;pk=source')
            _, out, _ = station.run("processor", "history", "--store", station.store)
            other.start_processor()
            code, _, err = other.run("producer", "send", "-", "--run-dir", other.run_dir, input=out)
            self.assertEqual(code, 0, err)
            def plain(lines):
                return [{k: v for k, v in l.items() if k not in ("eventid", "acceptedat", "sequence")} for l in lines]
            there = self.history(other, "--from", "#1")
            by = lambda l: (l["source"], l["id"])
            first = sorted(plain(self.history(station)), key=by)
            second = sorted(plain([l for l in there if not l["type"].startswith("weir.")]), key=by)
            self.assertEqual(second, first)

    def test_a_store_in_use_is_read_and_followed_over_a_kill(self):
        with weir.Station() as station:
            processor = station.start_processor()
            source = station.source("s")
            source.submit([weir.event(subject=f"n{n}") for n in range(5)])

            self.assertEqual([l["subject"] for l in self.history(station)], [f"n{n}" for n in range(5)])
            follower = station.start("processor", "history", "--store", station.store, "--follow", "--from", "#4")
            weir.until(lambda: follower.out_text().count("\n") == 2, "the last two events")
            processor.kill()
            station.start_processor()
            again = station.source("s2")
            again.submit([weir.event(subject=f"m{n}") for n in range(3)])

            weir.until(lambda: follower.out_text().count("\n") == 5, "three more events")
            subjects = [json.loads(line)["subject"] for line in follower.out_text().splitlines()]
            self.assertEqual(subjects, ["n3", "n4", "m0", "m1", "m2"])
            self.assertEqual(follower.stop(), 0)

    def test_old_versions_are_migrated_wherever_events_are_read(self):
        with weir.Station(limits=['"cost";q=100;w=60;pk=global;cost=data.amount']) as station:
            station.start_processor()
            station.start_projector("live")
            source = station.source("s")
            old = {"amount": 7, "currency": "EUR"}
            events = [weir.event("order.confirmed", "o", old),
                      weir.event("order.confirmed", "p", {"amount": 2, "amount_minor": 5, "currency": "EUR"}),
                      weir.event("order.confirmed", "q", {"amount": 1, "amount_minor": 30, "currency": "EUR"},
                                 schema_version=2)]
            source.submit(events)
            self.assertEqual([l["data"] for l in self.history(station, "--raw")][0], old)
            lines = self.history(station)
            self.assertEqual([l["schemaversion"] for l in lines], [2, 2, 2])
            self.assertEqual(lines[0]["data"], {"amount_minor": 700, "currency": "EUR"})
            station.start_projector("late")
            answers = [station.query(name) for name in ("live", "late")]
            for view, rows in (
                ("revenue", [{"currency": "EUR", "total_minor": 735}]),
                ("limits", [{"policy": "cost", "key": "global", "accepted": 10, "refused": 0, "last_refused_at": None}]),
            ):
                for query in answers:
                    weir.until(lambda: query.request("view", view, None)[0][0]["rows"] == rows, f"{view}: {rows}")

    def test_a_closed_output_ends_it_in_silence(self):
        with weir.Station() as station:
            self.fill(station, random.Random(3), 3000)
            done = subprocess.run(
                ["sh", "-c", f"{weir.BIN}/weir-processor history --store {station.store} --follow 2>err.txt | head -n 2; cat err.txt"],
                cwd=station.folder, capture_output=True, text=True, timeout=weir.LIMIT_SECONDS, check=False)
            self.assertEqual(done.stdout.count("\n"), 2, done.stdout)

    def test_a_silent_holder_is_told_of(self):
        with weir.Station() as station:
            processor = station.start_processor()
            processor.signal(signal.SIGSTOP)
            try:
                err = self.history(station, code=69)
            finally:
                processor.signal(signal.SIGCONT)
            self.assertIn(str(processor.pid), err)

    def test_a_torn_tail_is_not_shown_and_damage_is_named(self):
        with weir.Station() as station:
            self.fill(station, random.Random(4), 300)
            segment = next((station.store / "log").glob("0*.seg"))
            before = self.history(station)
            data = segment.read_bytes().rstrip(b"\0")
            with open(segment, "r+b") as file:
                file.seek((len(data) + 7) // 8 * 8)
                file.write(b"\x89WEIR\r\n\x1a torn")
            self.assertEqual(self.history(station), before)
            size = segment.stat().st_size
            image = segment.read_bytes()
            with open(segment, "r+b") as file:
                file.seek(140)
                file.write(bytes([image[140] ^ 1]))
            err = self.history(station, code=74)
            self.assertRegex(err, rf"{segment.name}: offset 0|{segment.name}")
            self.assertEqual(segment.stat().st_size, size)


if __name__ == "__main__":
    weir.main()
