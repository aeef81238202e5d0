"""state: the limiter's own state as of any event or time, against a naive oracle over the history."""

import json
import random
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402

QUOTA, WINDOW = 4, 3  # units, seconds


def seconds(number):
    return f"1970-01-01T00:{number // 60:02}:{number % 60:02}Z"


class State(unittest.TestCase):
    def state(self, station, *arguments):
        code, out, err = station.run("processor", "state", "--store", station.store, "--json", *arguments)
        self.assertEqual(code, 0, err)
        return json.loads(out)

    def fill(self, station, rng, number):
        path = station.folder / "in.jsonl"
        at = 5
        with open(path, "w") as file:
            for _ in range(number):
                at += rng.choice((0, 0, 1, 1, 2))
                file.write(json.dumps({"source": "in", "type": "order.created", "time": seconds(at),
                                       "subject": rng.choice("abc")}) + "\n")
        code, _, err = station.run("processor", "batch", path, "--store", station.store,
                                   "--limit", f'"p";q={QUOTA};w={WINDOW};pk=subject')
        self.assertIn(code, (0, 2), err)
        _, out, _ = station.run("processor", "history", "--store", station.store)
        return [json.loads(line) for line in out.splitlines()]

    def check(self, answer, events, now, key, ids):
        window = [e for e in events if now - WINDOW < self.second(e) and e["subject"] == key]
        policy = answer["policies"][0]
        if not window:
            self.assertEqual(policy["keys"], [])
            return
        shown = policy["keys"][0]
        self.assertEqual((shown["key"], shown["units"]), (key, len(window)))
        if ids:
            self.assertEqual(shown["events"], [int(e["eventid"]) for e in window])
        fits = now if len(window) < QUOTA else self.second(window[len(window) - QUOTA]) + WINDOW
        self.assertEqual(shown["next_fits_at"], seconds(fits).replace("Z", ".000000000Z"))

    def second(self, event):
        return int(event["acceptedat"][14:16]) * 60 + int(event["acceptedat"][17:19])

    def test_it_is_that_of_a_naive_oracle_at_any_event_and_time(self):
        seed = weir.count("WEIR_SEED", 3)
        print("seed", seed)
        rng = random.Random(seed)
        with weir.Station() as station:
            events = self.fill(station, rng, 200)
            for _ in range(40):
                key = rng.choice("abc")
                if rng.random() < 0.5:
                    at = rng.randrange(1, len(events) + 1)
                    answer = self.state(station, "--at", f"#{at}", "--policy", "p", "--key", key)
                    self.assertEqual(answer["event_id"], at)
                    self.check(answer, events[:at], self.second(events[at - 1]), key, True)
                else:
                    now = rng.randrange(self.second(events[0]), self.second(events[-1]) + 10)
                    answer = self.state(station, "--at", seconds(now), "--policy", "p", "--key", key)
                    self.check(answer, [e for e in events if self.second(e) <= now], now, key, True)

    def test_before_the_first_event_there_was_none(self):
        with weir.Station() as station:
            self.fill(station, random.Random(1), 5)
            for at in ("#0", "1970-01-01T00:00:01Z"):
                self.assertEqual(self.state(station, "--at", at), {"state": None})
                _, out, _ = station.run("processor", "state", "--store", station.store, "--at", at)
                self.assertIn("no state", out)
            code, _, err = station.run("processor", "state", "--store", station.store, "--at", "#99")
            self.assertEqual(code, 1)
            self.assertIn("last event is #5", err)

    def test_it_reads_a_store_in_use_and_names_the_live_digest(self):
        with weir.Station(limits=['"p";q=2;w=60;pk=subject']) as station:
            station.start_processor()
            source = station.source("s")
            source.submit([weir.event(subject="k")])
            source.submit([weir.event(subject="other")])  # a batch in which nothing fills the window
            refused = source.submit([weir.event(subject="k") for _ in range(2)])
            self.assertEqual(len(refused), 1)
            code, out, err = station.run("processor", "state", "--store", station.store, "--key", "k")
            self.assertEqual(code, 0, err)
            self.assertIn("k: 2 of 2 units", out)
            self.assertIn("filled by #1 #3", out)


if __name__ == "__main__":
    weir.main()
