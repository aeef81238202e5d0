"""weir-projector fold: views over JSON Lines, those in SQL too, equal those of a live projector at the
same position."""

import json
import random
import shutil
import sys
import unittest
from datetime import datetime, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402

VIEWS = ["inventory_levels", "limits", "order_counts", "revenue", "user_activity"]
LABORATORY = weir.ROOT / "docs/examples/laboratory.jsonl"
EXAMPLES = weir.ROOT / "docs/examples/views"
SQL_VIEWS = ["account_balances", "old_orders", "subject_timeline"]
OLD_ORDERS = ("create table old_orders (id integer primary key, version integer, minor integer) strict;\n"
              "-- on: order.confirmed\n"
              "insert into old_orders values (event_id(), schema_version(), field('amount_minor'));\n")


def stamp(time_ns):
    seconds = datetime.fromtimestamp(time_ns // weir.SECOND, timezone.utc)
    return f"{seconds:%Y-%m-%dT%H:%M:%S}.{time_ns % weir.SECOND:09}Z"


def accepted_line(record):
    occurred_at, type_, subject, version, data = record.event[:5]
    return json.dumps({
        "specversion": "1.0", "id": str(record.event_id), "source": record.source, "type": type_, "subject": subject,
        "time": stamp(occurred_at), "data": data, "schemaversion": version, "sequence": f"{record.sequence:020}",
        "eventid": str(record.event_id), "acceptedat": stamp(record.accepted_at),
    })


def rejected_line(record):
    return json.dumps({
        "rejectionid": str(record.rejection_id), "rejectedat": stamp(record.rejected_at),
        "reason": record.reason, "policy": record.policy, "key": record.key, "count": record.count,
    })


class Fold(unittest.TestCase):
    def fold(self, station, lines, *arguments, code=0):
        found, out, err = station.run("projector", "fold", *arguments, input="\n".join(lines) + "\n")
        self.assertEqual(found, code, err)
        return out, err

    def test_the_laboratory_comes_out(self):
        with weir.Station() as station:
            lines = LABORATORY.read_text().splitlines()
            out, err = self.fold(station, lines, "inventory_levels", "order_counts", "user_activity")
            self.assertEqual(out.split(), (
                "product quantity widget-A 97 status count confirmed 1 pending 2"
                " user event_count last_event user-001 2 logged_in").split())
            self.assertIn("as of event 8", err)
            out, _ = self.fold(station, lines[:5], "inventory_levels", "--json")
            reply = json.loads(out)
            self.assertEqual(reply["rows"], [{"product": "widget-A", "quantity": 100}])
            self.assertEqual(reply["event_id"], "5")

    def test_digests_equal_those_of_a_live_projector(self):
        seed = weir.count("WEIR_SEED", random.randrange(2**32))
        print(f"WEIR_SEED={seed}")
        policy = '[policy "per-subject"]\nkey = subject\nquota = 5\nwindow = 3600s\n'
        with weir.Station(policy=policy) as station:
            station.start_processor()
            station.start_projector()
            traffic = station.start_producer(
                "generate", "--rate", "5000", "--count", 3000, "--sources", 3, "--subjects", 150, "--seed", seed
            )
            self.assertIn(traffic.wait(), (0, 2))
            control, query = station.control(), station.query()
            accepted, rejected = control.replay_all("accepted"), control.replay_all("rejected")
            self.assertGreater(len(rejected), 0)
            lines = [accepted_line(record) for record in accepted] + [rejected_line(record) for record in rejected]
            out, _ = self.fold(station, lines, "--json", "--policy", station.folder / "policy.ini")
            folded = {reply["view"]: reply for reply in map(json.loads, out.splitlines())}
            self.assertEqual(sorted(folded), VIEWS)
            for view in VIEWS:
                live = weir.until(
                    lambda view=view: (
                        lambda r: r if (r["event_id"], r["rejection_id"]) == (len(accepted), len(rejected)) else None
                    )(query.view(view)), "the end",
                )
                self.assertEqual(folded[view]["digest"], live["digest"], view)
                self.assertEqual(folded[view]["event_id"], str(len(accepted)))

    def test_integers_of_64_bits_come_through_history_as_they_are(self):
        """Ids of 64 bits, such as those with a time in them, as keys of a policy and in data."""
        account, amount = 2**60 + 7, 2**53 + 1
        policy = '[policy "account"]\nkey = data.account\nquota = 2\nwindow = 3600s\n'
        payments = [
            weir.event("order.confirmed", "o", {"account": account, "amount_minor": amount, "currency": "EUR"},
                       schema_version=2)
        ] * 3
        with weir.Station(policy=policy) as station:
            station.start_processor()
            station.start_projector()
            station.ingest().send("shop", 0, 0, payments)
            query = station.query()
            position = lambda reply: (reply["event_id"], reply["rejection_id"])
            weir.until(lambda: position(query.view("limits")) == (2, 1), "all three in the view")
            live = {view: query.view(view) for view in VIEWS}
            lines = ""
            for stream in ("accepted", "rejected"):
                _, out, _ = station.run("processor", "history", "--store", station.store, "--stream", stream)
                lines += out
            out, _ = self.fold(station, lines.splitlines(), "--json", "--policy", station.folder / "policy.ini")
            self.assertEqual(live["revenue"]["rows"], [{"currency": "EUR", "total_minor": 2 * amount}])
            self.assertEqual(live["limits"]["rows"][0]["key"], account)
            for reply in map(json.loads, out.splitlines()):
                self.assertEqual(reply["digest"], live[reply["view"]]["digest"], reply["view"])

    def sql_views(self, station, **files):
        folder = station.folder / "views"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / f"{name}.sql").write_text(text)
        return folder

    def random_events(self, chance, number):
        """Of accounts, and orders of an old schema version, which views see migrated."""
        events = []
        for _ in range(number):
            kind = chance.choice(["account.opened", "account.deposited", "account.withdrew", "order.confirmed"])
            data = {"amount": 49.99, "currency": "EUR"} if kind == "order.confirmed" else {"amount": chance.randrange(999)}
            events.append(weir.event(kind, f"a-{chance.randrange(40)}", data))
        return events

    def test_views_in_sql_equal_those_of_a_live_projector(self):
        seed = weir.count("WEIR_SEED", random.randrange(2**32))
        print(f"WEIR_SEED={seed}")
        with weir.Station() as station:
            folder = self.sql_views(station, old_orders=OLD_ORDERS)
            for name in ("account_balances", "subject_timeline"):
                shutil.copy(EXAMPLES / f"{name}.sql", folder)
            station.start_processor()
            station.start_projector("main", "--views-dir", folder)
            station.source("bank").submit(self.random_events(random.Random(seed), 3000))
            query = station.query()
            live = {view: weir.until(lambda view=view: (lambda r: r if r["event_id"] == 3000 else None)(query.view(view)),
                                     f"{view} at the end") for view in SQL_VIEWS + ["revenue"]}
            lines = [accepted_line(record) for record in station.control().replay_all("accepted")]
            out, err = self.fold(station, lines, "--json", "--views-dir", folder)
            folded = {reply["view"]: reply for reply in map(json.loads, out.splitlines())}
            self.assertEqual(list(folded), VIEWS + SQL_VIEWS)
            for view, reply in live.items():
                self.assertEqual(folded[view]["digest"], reply["digest"], view)
                self.assertEqual((folded[view]["event_id"], len(folded[view]["rows"])), ("3000", len(reply["rows"])), view)
            self.assertGreater(len(live["old_orders"]["rows"]), 0)

            out, _ = self.fold(station, lines, "--json", "--views-dir", folder, "old_orders", "revenue")
            self.assertEqual([json.loads(line)["view"] for line in out.splitlines()], ["revenue", "old_orders"])
            out, _ = self.fold(station, lines[2000:], "--json", "--views-dir", folder, "subject_timeline")
            newest = {row["event_id"] for row in live["subject_timeline"]["rows"] if row["event_id"] > 2000}
            self.assertEqual({row["event_id"] for row in json.loads(out)["rows"]}, newest, "the ids of the lines")

    def test_a_view_in_sql_that_cannot_be_used_or_fails_ends_it_with_file_and_line(self):
        with weir.Station() as station:
            folder = self.sql_views(
                station, broken="create table broken (k text primary key);\n-- on: *\ninsert into nosuch values (1);\n",
                fragile="create table fragile (k integer primary key, n integer check (n < 9)) strict;\n"
                        "-- on: a.*\ninsert into fragile values (event_id(), field('n'));\n",
                endless="create table endless (k integer primary key);\n-- on: a.stop\n"
                        "with recursive n (i) as (select 1 union all select i + 1 from n)\n"
                        "insert into endless select i from n where i < 0;\n")
            lines = ['{"type": "a.b", "data": {"n": 1}}', '{"type": "a.b", "data": {"n": 9}}']
            given = ("--views-dir", folder)
            _, err = self.fold(station, lines, *given, code=78)
            self.assertIn("broken.sql:3: no such table: nosuch", err)
            out, err = self.fold(station, lines[:1], *given, "fragile")
            self.assertEqual(out.split(), ["k", "n", "1", "1"])
            _, err = self.fold(station, lines, *given, "fragile", code=65)
            self.assertIn("line 2: fragile.sql:3: event 2 (a.b): CHECK constraint failed: n < 9", err)
            _, err = self.fold(station, ['{"type": "a.stop"}'], *given, "endless", code=65)
            self.assertIn("line 1: endless.sql:3: event 1 (a.stop): the statement takes too many steps", err)
            _, err = self.fold(station, lines, *given, "nothing", code=64)
            self.assertIn("no view 'nothing'", err)
            _, err = self.fold(station, lines, "--views-dir", station.folder / "nowhere", code=78)
            self.assertIn("nowhere", err)
            self.sql_views(station, revenue=OLD_ORDERS.replace("old_orders", "revenue"))
            _, err = self.fold(station, lines, *given, "revenue", code=78)
            self.assertIn("a built-in view has this name", err)

    def test_a_policy_change_in_the_lines_counts(self):
        with weir.Station() as station:
            change = {"type": "weir.policy_changed", "source": "weir", "subject": "policy",
                      "data": {"text": '[policy "p"]\nkey = source\nquota = 5\nwindow = 60s\n'}, "eventid": "1"}
            lines = [json.dumps(change), '{"type": "order.created", "source": "a", "eventid": "2"}']
            out, _ = self.fold(station, lines, "limits", "--json")
            self.assertEqual(json.loads(out)["rows"], [
                {"policy": "p", "key": "a", "accepted": 1, "refused": 0, "last_refused_at": None}])

    def test_what_is_no_event_ends_it_and_names_the_line(self):
        with weir.Station() as station:
            good = '{"type": "order.created"}'
            for bad, why in (("[]", "not a JSON object"), ('{"type": "Bad Type"}', "type"),
                             ('{"type": "a.b", "eventid": "x"}', "eventid"),
                             ('{"rejectionid": "1", "reason": "boredom"}', "boredom")):
                _, err = self.fold(station, [good, "", bad], code=65)
                self.assertIn("line 3", err)
                self.assertIn(why, err)
            _, err = self.fold(station, [], "no_view", code=64)
            self.assertIn("no_view", err)
            out, err = self.fold(station, [""], "revenue")
            self.assertEqual(out, "")


if __name__ == "__main__":
    weir.main()
