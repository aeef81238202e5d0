"""state: the limiter's own state as of any event or time, against a naive oracle over the history."""

import json
import random
import shutil
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import small_log  # noqa: E402
import weir  # noqa: E402
from oracle import MS, Policy, policy_text  # noqa: E402

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

    # ---- of one key, which the fold keeps alone, against the whole

    KEYS = ("a", "b", "5", 5, -5, 1 << 63, "", "-5")  # of which a person writes some alike

    def random_policies(self, rng):
        """Which are in force, and how wide they are, differs."""
        window = rng.choice((30, 300, 3000)) * MS
        kinds = [Policy("subject", "order.*", "subject", rng.randrange(100, 2000), window, 1),
                 Policy("field", "*", "data.k", 9000, rng.choice((100, 1000)) * MS, "data.n"),
                 Policy("all", "user.*", "global", 2000, window, 1),
                 Policy("watch", "*", "data.k", rng.randrange(1, 60), window, 1, "shadow"),
                 Policy("source", "*", "source", 4000, 200 * MS, 2)]
        return policy_text(rng.sample(kinds, rng.randrange(2, len(kinds) + 1)))

    def first_policies(self, rng):
        """With one that watches and has fewer keys than there are: what it lets pass depends on them all."""
        watch = Policy("few", "*", "data.k", rng.randrange(1, 60), 500 * MS, 1, "shadow")
        return policy_text([watch]) + "max_keys = 3\n" + self.random_policies(rng)

    def lively_log(self, station, rng):
        """Several snapshots, and changes of the policies between and behind them; their ids."""
        station.start_processor(*small_log.SMALL)
        control, source, changes = station.control(), station.source("s"), []
        while len(changes) < 3 or len(small_log.snapshots(station)) < 4:
            source.submit([weir.event(type=rng.choice(("order.created", "user.seen")), subject=rng.choice("abc"),
                                      data={"k": rng.choice(self.KEYS), "n": rng.choice((0, 1, 1, 1, 7, 3000)),
                                            "padding": small_log.PADDING}) for _ in range(1000)])
            if rng.random() < 0.2:
                control.request("policy", "set", self.random_policies(rng))
                changes.append(control.status()["last_event_id"])
        station.processor.stop()
        return changes

    def test_that_of_one_key_is_what_the_whole_says_of_it(self):
        seed = weir.count("WEIR_SEED", 3)
        print("seed", seed)
        rng = random.Random(seed)
        with weir.Station(policy=self.first_policies(rng)) as station:
            changes = self.lively_log(station, rng)
            _, out, _ = station.run("processor", "history", "--store", station.store)
            events = {int(e["eventid"]): e for e in map(json.loads, out.splitlines())}
            behind = [at + rng.randrange(60) for at in changes]
            places = [f"#{at}" for at in rng.sample(sorted(events), 5) + behind if at in events]
            places += [event["acceptedat"] for event in rng.sample(list(events.values()), 3)]
            keys = [str(key) for key in self.KEYS if key != ""] + ["c", "s", "nobody"]
            asked = [(at, "--key", rng.choice(keys)) for at in places for _ in "123"]
            answers = [self.state(station, "--at", *question) for question in asked]
            for (at, _, key), answer in zip(asked, answers):
                self.compare(self.state(station, "--at", at), answer, key)
                self.check_filling(answer, events)
            shutil.rmtree(Path(station.store) / "snapshots")  # a fold over all changes, of the whole
            for question, answer in rng.sample(list(zip(asked, answers)), 6):
                self.assertEqual(self.state(station, "--at", *question), answer)

    def compare(self, whole, answer, key):
        for policy, narrow in zip(whole.pop("policies"), answer["policies"], strict=True):
            self.assertEqual(policy["more_keys"], 0)  # else the key might be among them
            expected = [row for row in policy["keys"] if str(row["key"]) == key]
            shown = [{name: row[name] for name in ("key", "units", "next_fits_at")} for row in narrow["keys"]]
            self.assertEqual(shown, expected)
            self.assertEqual({**policy, "keys": None}, {"live_keys": policy["live_keys"], **narrow, "keys": None})
        self.assertEqual(whole, {name: answer[name] for name in whole})

    def check_filling(self, answer, events):
        """What fills the window of a policy that enforces adds up to its units."""
        for policy in answer["policies"]:
            for row in policy["keys"]:
                if policy["policy"] in ("few", "watch") or row["more_events"] > 0:
                    continue
                costs = {"field": lambda event: event["data"]["n"], "source": lambda _: 2}
                cost = costs.get(policy["policy"], lambda _: 1)
                self.assertEqual(sum(min(cost(events[i]), policy["quota"]) for i in row["events"]), row["units"])


if __name__ == "__main__":
    weir.main()
