"""Views in SQL through the whole pipeline: the bank account, a broken file, an event that fails, an
edit while events come, files that come and go, kill -9 while a view is made anew, and what everyday
tools and another implementation of the digest make of the rows.

WEIR_EVENTS: events of the bulk traffic (default 40,000).  WEIR_KILLS: kills while a view is made anew (default 8).
"""

import collections
import ctypes
import json
import random
import shutil
import sqlite3
import sys
import time
import unittest
from pathlib import Path

import msgpack

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import web  # noqa: E402
import weir  # noqa: E402

EXAMPLES = weir.ROOT / "docs/examples"
ACCOUNTS = EXAMPLES / "views/account_balances.sql"

COUNTS = """
create table counts (type text primary key, n integer not null) strict;
-- on: *
insert into counts values (type(), {step}) on conflict do update set n = n + {step};
"""


class Hash(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


XXHASH = ctypes.CDLL("libxxhash.so.0")
XXHASH.XXH3_128bits.restype = Hash
XXHASH.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def digest_of(view, rows):
    """The digest as docs/protocol.md defines it."""
    total = 0
    for row in rows:
        content = msgpack.packb([view, list(row.values())])
        hashed = XXHASH.XXH3_128bits(content, len(content))
        total += hashed.high << 64 | hashed.low
    return f"{total % 2**128:032x}"


def balances(records):
    """What account_balances.sql should show."""
    rows = {}
    for record in records:
        _, kind, subject, _, data = record.event[:5]
        amount = data.get("amount")
        good = isinstance(amount, int) and 0 <= amount <= 10**12  # true is 1 in SQL
        if kind == "account.opened":
            rows.setdefault(subject, 0)
        elif kind in ("account.deposited", "account.withdrew") and good:
            rows[subject] = rows.get(subject, 0) + (amount if kind == "account.deposited" else -amount)
    return [{"account": subject, "balance_minor": rows[subject]} for subject in sorted(rows, key=str.encode)]


def random_account_event(chance):
    kind = chance.choice(["opened", "deposited", "deposited", "withdrew", "closed"])
    amount = chance.choice([chance.randrange(10**6), 10**12, 10**12 + 1, -1, 1.5, "7", None, True, [1], {"a": 1}])
    data = {} if amount is None else {"amount": amount}
    return weir.event(f"account.{kind}", f"account-{chance.randrange(50)}", data)


class SqlViews(unittest.TestCase):
    def station(self):
        station = weir.Station()
        self.enterContext(station) if hasattr(self, "enterContext") else self.enter(station)
        station.views_dir = station.folder / "views"
        station.views_dir.mkdir()
        station.start_processor()
        return station

    def enter(self, station):
        station.__enter__()
        self.addCleanup(lambda: station.__exit__(None, None, None))

    def project(self, station, name="main", **options):
        return station.start_projector(name, "--views-dir", station.views_dir, **options)

    def put(self, station, name, text):
        (station.views_dir / f"{name}.sql").write_text(text)

    def database(self, station, name="main"):
        path = station.run_dir / f"{name}.db"
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        self.addCleanup(database.close)
        return database

    def view_at(self, query, view, event_id):
        def asked():
            try:
                reply = query.view(view)
            except weir.ControlError as error:
                self.assertEqual(error.code, "not_found")
                return None
            return reply if reply["event_id"] >= event_id else None

        return weir.until(asked, f"{view} at event {event_id}")

    def rows_become(self, query, view, rows):
        def asked():
            try:
                reply = query.view(view)
            except weir.ControlError:
                return None
            return reply if reply["rows"] == rows else None

        return weir.until(asked, f"{view} shows {rows}")

    def error_of(self, query, view, part):
        """Until the view is answered with an error that has this in it."""

        def asked():
            try:
                query.view(view)
            except weir.ControlError as error:
                return error if part in error.text else None
            return None

        return weir.until(asked, f"{view} is answered with '{part}'")

    def send(self, station, name):
        code, _, err = station.run("producer", "send", EXAMPLES / name, "--run-dir", station.run_dir)
        self.assertEqual(code, 0, err)

    # ---- what it shows ----

    def test_the_bank_account(self):
        station = self.station()
        shutil.copy(ACCOUNTS, station.views_dir)
        shutil.copy(EXAMPLES / "views/subject_timeline.sql", station.views_dir)
        self.project(station)
        self.send(station, "accounts.jsonl")
        reply = self.view_at(station.query(), "account_balances", 3)
        self.assertEqual(reply["rows"], [{"account": "account-1", "balance_minor": 100}])
        self.assertEqual(reply["digest"], digest_of("account_balances", reply["rows"]))
        timeline = self.view_at(station.query(), "subject_timeline", 3)["rows"]
        self.assertEqual(
            [(row["subject"], row["event_id"], row["type"], json.loads(row["data"])) for row in timeline],
            [("account-1", 1, "account.opened", {"owner": "Alice"}),
             ("account-1", 2, "account.deposited", {"amount": 150}),
             ("account-1", 3, "account.withdrew", {"amount": 50})],
        )
        code, out, err = station.run("projector", "query", "account_balances", "--run-dir", station.run_dir)
        self.assertEqual((code, out), (0, "account    balance_minor\naccount-1            100\n"), err)
        names = station.query().request("views")[0][0]["views"]
        self.assertIn("account_balances", names)
        self.assertIn("revenue", names)

    def test_it_equals_a_naive_oracle_in_every_process_and_for_sqlite3(self):
        number = weir.count("WEIR_EVENTS", 40_000)
        seed = weir.count("WEIR_SEED", random.randrange(2**32))
        print(f"WEIR_SEED={seed}")
        chance = random.Random(seed)
        station = self.station()
        shutil.copy(ACCOUNTS, station.views_dir)
        self.project(station, "early")
        source = station.source("bank")
        for _ in range(number // 1000):
            source.submit([random_account_event(chance) for _ in range(1000)])
        self.project(station, "late")
        control = station.control()
        last = control.status()["last_event_id"]
        expected = balances(control.replay_all("accepted"))
        for name in ("early", "late"):
            reply = self.view_at(station.query(name), "account_balances", last)
            self.assertEqual(reply["event_id"], last)
            self.assertEqual(reply["rows"], expected)
            self.assertEqual(reply["digest"], digest_of("account_balances", expected))
            database = self.database(station, name)
            weir.until(
                lambda database=database: database.execute(
                    "select event_id from weir_checkpoints where view = 'account_balances'"
                ).fetchone() == (last,),
                "the checkpoint",
            )
            self.assertEqual(
                database.execute("select * from account_balances order by account").fetchall(),
                [tuple(row.values()) for row in expected],
            )

    def test_as_of_any_event_or_time(self):
        chance = random.Random(weir.count("WEIR_SEED", 7))
        station = self.station()
        shutil.copy(ACCOUNTS, station.views_dir)
        self.project(station)
        source, query, control = station.source("bank"), station.query(), station.control()
        for _ in range(20):
            source.submit([random_account_event(chance) for _ in range(100)])
        records = control.replay_all("accepted")
        self.view_at(query, "account_balances", 2000)
        for event_id in (0, 1, 2, 99, 100, 777, 1999, 2000, 777):
            reply = query.view("account_balances", event_id)
            rows = balances(records[:event_id])
            self.assertEqual((reply["event_id"], reply["rows"]), (event_id, rows))
            self.assertEqual(reply["digest"], digest_of("account_balances", rows))
            self.assertEqual("note" in reply, event_id == 0, reply)
        time = records[500].accepted_at
        reply = query.view("account_balances", ["time", time])
        self.assertEqual(reply["rows"], balances([record for record in records if record.accepted_at <= time]))
        self.put(station, "account_balances", "broken")
        (station.views_dir / "broken.sql").write_text("broken")
        self.error_of(query, "broken", "parked: broken.sql:1: ")
        with self.assertRaises(weir.ControlError) as caught:
            query.view("broken", 5)
        self.assertIn("parked: broken.sql:1: ", caught.exception.text)
        self.assertEqual(query.view("account_balances", 777)["rows"], balances(records[:777]))

    def test_old_schema_versions_are_migrated_live_replayed_and_as_of(self):
        station = self.station()
        text = ("create table {0} (id integer primary key, version integer, minor integer) strict;\n"
                "-- on: order.confirmed\n"
                "insert into {0} values (event_id(), schema_version(), field('amount_minor'));\n")
        self.put(station, "early", text.format("early"))
        self.project(station)
        query = station.query()
        station.source("shop").submit([
            weir.event("order.confirmed", "o-1", {"amount": 49.99, "currency": "EUR"}, schema_version=1),
            weir.event("order.confirmed", "o-2", {"amount_minor": 700, "currency": "EUR"}, schema_version=2),
        ])
        rows = [{"id": 1, "version": 2, "minor": 4999}, {"id": 2, "version": 2, "minor": 700}]
        self.rows_become(query, "early", rows)
        self.put(station, "late", text.format("late"))
        self.rows_become(query, "late", rows)
        self.assertEqual(query.view("late", 1)["rows"], rows[:1])

    # ---- what is wrong ----

    def test_a_broken_file_is_parked_with_its_line_and_mended_by_an_edit(self):
        station = self.station()
        self.put(station, "broken", "create table broken (k text primary key);\n-- on: *\ninsert into nosuch values (1);\n")
        self.put(station, "counts", COUNTS.format(step=1))
        self.put(station, "revenue", COUNTS.format(step=1))
        projector = self.project(station)
        query = station.query()
        station.source("s").submit([weir.event()] * 3)
        self.rows_become(query, "counts", [{"type": "order.created", "n": 3}])
        error = self.error_of(query, "broken", "broken.sql:3: ")
        self.assertEqual(error.code, "unavailable")
        views = query.request("views")[0][0]
        self.assertEqual(sorted(views["problems"]), ["broken", "revenue"])
        self.assertIn("a built-in view has this name", views["problems"]["revenue"])
        self.assertEqual(query.view("revenue")["rows"], [])
        code, _, err = station.run("projector", "query", "broken", "--run-dir", station.run_dir)
        self.assertNotEqual(code, 0)
        self.assertIn("broken.sql:3: ", err)
        self.assertEqual(projector.log_text().count("broken.sql:3: "), 1)

        self.put(station, "broken", "create table broken (k integer primary key);\n-- on: *\n"
                                    "insert into broken values (event_id());\n")
        self.rows_become(query, "broken", [{"k": 1}, {"k": 2}, {"k": 3}])
        self.put(station, "broken", "create table broken (k integer primary key);\n-- on: *\nupdat broken set k = 1;\n")
        reply = weir.until(
            lambda: (lambda r: r if "problem" in r else None)(query.view("broken")), "the problem of the edit"
        )
        self.assertIn("broken.sql:3: ", reply["problem"])
        self.assertEqual(reply["rows"], [{"k": 1}, {"k": 2}, {"k": 3}])
        station.source("t").submit([weir.event()])
        self.rows_become(query, "broken", [{"k": 1}, {"k": 2}, {"k": 3}, {"k": 4}])

    def test_an_event_that_fails_parks_one_view_for_good_and_no_other(self):
        station = self.station()
        text = ("create table fragile (k integer primary key, n integer check (n < 100)) strict;\n"
                "-- on: order.created\n"
                "insert into fragile values (event_id(), field('n'));\n")
        self.put(station, "fragile", text)
        self.put(station, "counts", COUNTS.format(step=1))
        projector = self.project(station)
        query = station.query()
        source = station.source("s")
        source.submit([weir.event(data={"n": n}) for n in (1, 2, 100, 4)])
        self.rows_become(query, "counts", [{"type": "order.created", "n": 4}])
        error = self.error_of(query, "fragile", "fragile.sql:3: event 3 (order.created): CHECK constraint failed")
        self.assertEqual(error.code, "unavailable")
        source.submit([weir.event(data={"n": 5})])
        self.rows_become(query, "counts", [{"type": "order.created", "n": 5}])
        self.assertEqual(projector.log_text().count("CHECK constraint"), 1)
        projector.stop()
        self.project(station)
        query = station.query()
        self.rows_become(query, "counts", [{"type": "order.created", "n": 5}])
        self.error_of(query, "fragile", "event 3 (order.created)")
        self.put(station, "fragile", text.replace("n < 100", "n <= 100"))
        self.rows_become(query, "fragile", [{"k": k, "n": n} for k, n in ((1, 1), (2, 2), (3, 100), (4, 4), (5, 5))])

    def test_a_statement_without_an_end_stops_nobody_else(self):
        station = self.station()
        self.put(station, "counts", COUNTS.format(step=1))
        self.put(station, "endless", "create table endless (k integer primary key);\n-- on: order.stop\n"
                                     "with recursive n (i) as (select 1 union all select i + 1 from n)\n"
                                     "insert into endless select i from n where i < 0;\n")
        self.project(station)
        query = station.query()
        station.source("s").submit([weir.event(f"order.{'stop' if n == 30 else 'go'}") for n in range(60)])
        self.error_of(query, "endless", "endless.sql:3: event 31 (order.stop): the statement takes too many steps")
        self.rows_become(query, "counts", [{"type": "order.go", "n": 59}, {"type": "order.stop", "n": 1}])

    def test_a_folder_that_is_not_there_is_bad_configuration(self):
        station = self.station()
        station.views_dir.rmdir()
        projector = self.project(station, ready=False)
        projector.expected_exits = {78}
        self.assertEqual(projector.wait(), 78)
        self.assertIn(str(station.views_dir), projector.log_text())

    # ---- over HTTP ----

    def test_over_http_they_are_views_like_the_others_and_parked_ones_say_why(self):
        station = self.station()
        shutil.copy(ACCOUNTS, station.views_dir)
        self.put(station, "fragile", "create table fragile (k integer primary key, n integer check (n < 100)) strict;\n"
                                     "-- on: account.*\ninsert into fragile values (event_id(), field('amount'));\n")
        _, address = web.start(station, "main", "--views-dir", station.views_dir)
        source = station.source("bank")
        source.submit([weir.event("account.opened", f"a-{n}") for n in range(5)])
        source.submit([weir.event("account.deposited", f"a-{n}", {"amount": n}) for n in range(5)])
        last = lambda: web.get(address, "/views/account_balances")  # noqa: E731
        weir.until(lambda: last()["event_id"] == "10", "the balances")
        rows = [{"account": f"a-{n}", "balance_minor": n} for n in range(5)]
        code, out, err = station.run("projector", "query", "account_balances", "--json", "--run-dir", station.run_dir)
        self.assertEqual((code, json.loads(out)), (0, last()), err)
        self.assertEqual(last()["rows"], rows)
        self.assertEqual(last()["digest"], digest_of("account_balances", rows))
        page = web.get(address, "/views/account_balances?offset=1&limit=2")
        self.assertEqual((page["rows"], page["next"]), (rows[1:3], 3))

        status, headers, body = web.ask(address, "/views/account_balances?at=7")
        self.assertEqual(status, 200)
        self.assertEqual([row["balance_minor"] for row in json.loads(body)["rows"]], [0, 1, 0, 0, 0])
        self.assertEqual(headers["cache-control"], "no-cache", "an edit of the file changes it")
        page = web.get(address, "/views/account_balances?at=%2310&offset=3&limit=1")
        self.assertEqual((page["rows"], page["next"]), (rows[3:4], 4))
        self.assertEqual(web.get(address, "/views/account_balances?at=1970-01-01T00:00:00Z")["rows"], [])
        self.assertEqual(web.ask(address, "/views/account_balances?at=11")[0], 404)

        source.submit([weir.event("account.deposited", "a-1", {"amount": 100})])
        self.put(station, "broken", "create table broken (k text primary key);\n-- on: *\ninsert into nosuch values (1);\n")
        reasons = {"broken": "broken.sql:3: no such table: nosuch",
                   "fragile": "fragile.sql:3: event 11 (account.deposited): CHECK constraint failed: n < 100"}
        weir.until(lambda: web.get(address, "/views").get("problems") == reasons, "both reasons")
        self.assertLessEqual({"account_balances", "broken", "fragile", "revenue"}, set(web.get(address, "/views")["views"]))
        for name, reason in reasons.items():
            for target in (f"/views/{name}", f"/views/{name}?limit=1", f"/views/{name}?at=3"):
                status, _, body = web.ask(address, target)
                self.assertEqual(status, 503, target)
                self.assertEqual(json.loads(body)["error"], f"unavailable: parked: {reason}")
        weir.until(lambda: last()["event_id"] == "11", "the others go on")

        metrics = weir.until(
            lambda: (lambda found: found if found["weir_projector_checkpoint_event_id"] == 11 else None)(
                web.metrics(web.ask(address, "/metrics")[2].decode())), "the checkpoint")
        shown = {name: [metrics.get(f'weir_projector_view_{kind}{{view="{name}"}}') for kind in ("rows", "parked")]
                 for name in ("account_balances", "broken", "fragile", "revenue")}
        self.assertEqual(shown, {"account_balances": [5, 0], "broken": [0, 1], "fragile": [10, 1], "revenue": [0, None]})
        self.assertGreater(metrics["weir_projector_checkpoint_seconds_count"], 0)
        self.assertGreater(metrics["weir_projector_checkpoint_seconds_sum"], 0)

    # ---- what changes while it runs ----

    def test_files_come_change_and_go_while_events_are_delivered(self):
        station = self.station()
        self.put(station, "counts", COUNTS.format(step=1))
        self.project(station)
        query = station.query()
        traffic = station.start_producer(
            "generate", "--rate", 5000, "--count", weir.count("WEIR_EVENTS", 40_000), "--seed", 5)
        weir.until(lambda: query.view("counts")["event_id"] > 2000, "the first events")
        seen = 0
        for step in (2, 3, 4):
            self.put(station, "counts", COUNTS.format(step=step))
            self.put(station, f"more_{step}", COUNTS.format(step=1).replace("counts", f"more_{step}"))

            def is_new(step=step):
                nonlocal seen
                reply = query.view("counts")
                self.assertGreaterEqual(reply["event_id"], seen)
                seen = reply["event_id"]
                total = sum(row["n"] for row in reply["rows"])
                self.assertIn(total, (seen * step, seen * (step - 1)), "the old one or the new one, whole")
                return total == seen * step

            weir.until(is_new, f"counts in steps of {step}")
        (station.views_dir / "more_3.sql").unlink()
        weir.until(lambda: "more_3" not in query.request("views")[0][0]["views"], "more_3 is gone")
        with self.assertRaises(weir.ControlError) as caught:
            query.view("more_3")
        self.assertEqual(caught.exception.code, "not_found")
        self.assertEqual(traffic.wait(), 0)
        last = station.control().status()["last_event_id"]
        kinds = collections.Counter(record.event[1] for record in station.control().replay_all("accepted"))
        for view, step in (("counts", 4), ("more_2", 1), ("more_4", 1)):
            reply = self.view_at(query, view, last)
            self.assertEqual(reply["rows"], [{"type": kind, "n": kinds[kind] * step} for kind in sorted(kinds)])
            self.assertEqual(reply["digest"], digest_of(view, reply["rows"]))
        database = self.database(station)
        tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
        self.assertLessEqual({"counts", "more_2", "more_4"}, tables)
        self.assertFalse([name for name in tables if "more_3" in name or "~" in name])

    def test_killed_at_any_moment_while_a_view_is_made_anew(self):
        number = weir.count("WEIR_EVENTS", 40_000)
        seed = weir.count("WEIR_SEED", random.randrange(2**32))
        print(f"WEIR_SEED={seed}")
        chance = random.Random(seed)
        station = self.station()
        self.put(station, "counts", COUNTS.format(step=1))
        shutil.copy(ACCOUNTS, station.views_dir)
        projector = self.project(station)
        self.assertEqual(station.start_producer("generate", "--rate", 0, "--count", number, "--seed", 6).wait(), 0)
        station.source("bank").submit([random_account_event(chance) for _ in range(2000)])
        control = station.control()
        last = control.status()["last_event_id"]
        records = control.replay_all("accepted")
        kinds = collections.Counter(record.event[1] for record in records)
        self.view_at(station.query(), "counts", last)
        for kill in range(weir.count("WEIR_KILLS", 8)):
            step = kill + 2
            self.put(station, "counts", COUNTS.format(step=step))
            time.sleep(chance.uniform(0, 1.5))  # any moment: before, during or after
            projector.kill()
            projector = self.project(station)
            query = station.query()
            rows = [{"type": kind, "n": kinds[kind] * step} for kind in sorted(kinds)]
            reply = self.rows_become(query, "counts", rows)
            self.assertEqual(reply["event_id"], last)
            self.assertEqual(reply["digest"], digest_of("counts", rows))
            self.assertEqual(self.view_at(query, "account_balances", last)["rows"], balances(records))

    def test_started_again_it_goes_on_from_its_checkpoint(self):
        station = self.station()
        self.put(station, "counts", COUNTS.format(step=1))
        projector = self.project(station)
        station.source("s").submit([weir.event()] * 500)
        self.rows_become(station.query(), "counts", [{"type": "order.created", "n": 500}])
        projector.stop()
        self.put(station, "counts", COUNTS.format(step=2))
        station.source("t").submit([weir.event()] * 100)
        self.project(station)
        self.rows_become(station.query(), "counts", [{"type": "order.created", "n": 1200}])


if __name__ == "__main__":
    weir.main()
