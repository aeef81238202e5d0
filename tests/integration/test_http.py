"""HTTP over a real pipeline: every route, status codes, caching, the live stream over a restart of the
projector, metrics, and what hostile clients do. WEIR_IDLE: idle connections (default 1,000)."""

import contextlib
import json
import re
import socket
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import web  # noqa: E402
import weir  # noqa: E402


@contextlib.contextmanager
def pipeline(events=40):
    """Orders, `events` accepted of 50 offered, all in the views."""
    with weir.Station(limits=[f'"global";q={events};w=3600;pk=global']) as station:
        station.start_processor()
        projector, address = web.start(station)
        station.source("shop").submit(
            [weir.event(subject=f"order-{n}", data={"status": ("new", "paid")[n % 2]}) for n in range(50)]
        )
        place = (str(min(events, 50)), str(50 - min(events, 50)))
        view = lambda: web.get(address, "/views/limits")  # noqa: E731
        weir.until(lambda: (view()["event_id"], view()["rejection_id"]) == place, "the views")
        yield station, projector, address


class Http(unittest.TestCase):
    def test_views_are_what_the_query_socket_says(self):
        with pipeline() as (station, _, address):
            self.assertIn("order_counts", web.get(address, "/views")["views"])
            told = json.loads(station.run("projector", "query", "limits", "--json", "--run-dir", station.run_dir)[1])
            self.assertEqual(web.get(address, "/views/limits"), told)
            self.assertEqual(told["rows"][0]["accepted"], 40)
            page = web.get(address, "/views/order_counts?offset=1&limit=1")
            self.assertEqual(page["rows"], [{"status": "paid", "count": 20}])
            self.assertEqual(web.get(address, "/views/order_counts?limit=1")["next"], 1)

    def test_answers_as_of_then_never_change_and_say_so(self):
        with pipeline() as (_, _, address):
            status, headers, body = web.ask(address, "/views/order_counts?at=3")
            self.assertEqual((status, headers["cache-control"]), (200, "public, max-age=31536000, immutable"))
            self.assertEqual(sum(row["count"] for row in json.loads(body)["rows"]), 3)
            self.assertEqual(web.get(address, "/views/order_counts?at=%233")["rows"], json.loads(body)["rows"])
            self.assertEqual(web.get(address, "/views/order_counts?at=3&limit=1")["next"], 1)
            before = web.get(address, "/views/order_counts?at=1970-01-01T00:00:00Z")
            self.assertEqual((before["event_id"], before["rows"]), ("0", []))
            self.assertEqual(web.ask(address, "/views/order_counts?at=-5m")[1]["cache-control"], "no-cache")

    def test_a_view_that_did_not_change_is_not_sent_again(self):
        with pipeline() as (_, _, address):
            _, headers, _ = web.ask(address, "/views/limits")
            status, again, body = web.ask(address, "/views/limits", headers={"If-None-Match": headers["etag"]})
            self.assertEqual((status, again["etag"], body), (304, headers["etag"], b""))
            self.assertEqual(web.ask(address, "/views/limits", headers={"If-None-Match": '"other"'})[0], 200)

    def test_events_are_filtered_and_paged(self):
        with pipeline() as (station, _, address):
            ids, target = [], "/events?limit=15"
            while target:
                page = web.get(address, target)
                ids += [int(event["eventid"]) for event in page["events"]]
                target = f"/events?limit=15&from={page['next']}" if "next" in page else None
            self.assertEqual(ids, list(range(1, 41)))
            self.assertEqual([e["eventid"] for e in web.get(address, "/events?subject=order-7")["events"]], ["8"])
            self.assertEqual(web.get(address, "/events?type=payment.*")["events"], [])
            self.assertEqual(len(web.get(address, "/events?source=shop&type=order.?reated&from=2&to=4")["events"]), 3)
            self.assertEqual(web.get(address, "/events?from=9&to=3")["events"], [])
            self.assertEqual(len(web.get(address, "/events?from=-1d")["events"]), 40)
            refused = web.get(address, "/events?stream=rejected&limit=1000")["events"]
            self.assertEqual({event["reason"] for event in refused}, {"rate_limited"})
            self.assertEqual(len(refused), 10)
            for stream in ("accepted", "rejected"):
                code, out, err = station.run("processor", "history", "--store", station.store, "--stream", stream)
                self.assertEqual(code, 0, err)
                self.assertEqual(web.get(address, f"/events?stream={stream}")["events"],
                                 [json.loads(line) for line in out.splitlines()])

    def test_bad_requests_are_named_and_nothing_can_be_written(self):
        with pipeline() as (_, _, address):
            for target, status in (
                ("/nothing", 404), ("/views/nothing", 404), ("/assets/nothing", 404), ("/views/limits?at=soon", 400),
                ("/views/limits?at=", 400), ("/views/limits?limit=0", 400), ("/views/limits?limit=x", 400),
                ("/views/limits?x=1", 400), ("/views/limits?at=1&at=2", 400), ("/views/%00", 400), ("/views/%ff", 400),
                ("/views/%zz", 400), ("/events?stream=all", 400), ("/events?limit=1001", 400), ("/live?from=-5m", 400),
                ("/views/" + "a" * 300, 414), ("/views?" + "a" * 3000, 414), ("/views/../../etc/passwd", 404),
            ):
                with self.subTest(target[:40]):
                    found, headers, body = web.ask(address, target)
                    self.assertEqual(found, status)
                    self.assertTrue(json.loads(body)["error"])
                    self.assertIn("default-src 'self'", headers["content-security-policy"])
            for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
                status, headers, _ = web.ask(address, "/views", method, body=b"x" if method == "POST" else None)
                self.assertEqual((status, headers["allow"]), (405, "GET, HEAD"), method)
            self.assertEqual(web.ask(address, "/views", body=b"hello")[0], 413)
            self.assertEqual(web.ask(address, "/views", headers={"Host": "evil.example"})[0], 421)
            self.assertEqual(web.ask(address, "/live", headers={"Last-Event-ID": "x"})[0], 400)
            status, headers, body = web.ask(address, "/views/limits", "HEAD")
            self.assertEqual((status, body), (200, b""))
            self.assertEqual(int(headers["content-length"]), len(web.ask(address, "/views/limits")[2]))

    def test_the_live_stream_resumes_over_a_restart_of_the_projector(self):
        with pipeline(1000) as (station, projector, address):
            live = web.Live(address, "/live?from=1")
            ids = [live.next("accepted")[0] for _ in range(30)]
            self.assertEqual(ids, [str(n) for n in range(1, 31)])
            live.close()
            self.assertEqual(projector.stop(), 0)
            _, address = web.start(station)
            live = web.Live(address, last_id=30)
            station.source("late").submit([weir.event(subject="late")])
            found = [live.next("accepted") for _ in range(21)]
            self.assertEqual([event[0] for event in found], [str(n) for n in range(31, 52)])
            self.assertEqual(found[-1][1]["subject"], "late")
            self.assertEqual(live.next("position")[1]["log_id"], web.get(address, "/views/limits")["log_id"])
            live.close()

    def test_too_many_streams_are_refused(self):
        with pipeline() as (_, projector, address):
            streams = [web.Live(address) for _ in range(32)]
            self.assertEqual(web.ask(address, "/live")[0], 503)
            self.assertEqual(projector.stop(), 0)
            for stream in streams:
                stream.close()

    def test_metrics_are_well_formed_and_true(self):
        with pipeline() as (_, _, address):
            def found():
                metrics = web.metrics(web.ask(address, "/metrics")[2].decode())
                return metrics if metrics.get('weir_processor_refused_total{reason="rate_limited"}') == 10 else None

            metrics = weir.until(found, "the processor's counters")
            self.assertEqual(metrics["weir_projector_event_id"], 40)
            self.assertEqual(metrics["weir_processor_accepted_total"], 40)
            self.assertEqual(metrics["weir_projector_lag_events"], 0)
            self.assertEqual(metrics["weir_processor_up"], 1)
            self.assertEqual(metrics['weir_projector_view_rows{view="order_counts"}'], 2)
            self.assertFalse([name for name in metrics if "order-" in name or "key=" in name])
            families = {re.sub(r"(_bucket|_sum|_count)?({.*)?$", "", name) for name in metrics}
            described = (weir.ROOT / "docs/operations.md").read_text()
            self.assertEqual([name for name in sorted(families) if f"`{name}`" not in described], [])

    def test_health_and_a_processor_that_goes_away(self):
        with pipeline() as (station, _, address):
            self.assertEqual(web.ask(address, "/healthz")[0], 200)
            self.assertEqual(web.ask(address, "/readyz")[0], 200)
            weir.until(lambda: web.get(address, "/status")["processor_up"], "the processor's status")
            station.processor.kill()
            weir.until(lambda: not web.get(address, "/status")["processor_up"], "its absence")
            self.assertEqual(web.ask(address, "/events")[0], 503)
            self.assertEqual(web.get(address, "/views/limits")["event_id"], "40")
            station.start_processor()
            weir.until(lambda: web.get(address, "/status")["processor_up"], "its return")

    def test_an_address_that_is_none_or_taken_stops_the_start(self):
        with pipeline() as (station, _, address):
            for text, code in (("8080", 78), ("host:80", 78), ("1.2.3.4:99999", 78), (f"127.0.0.1:{address[1]}", 75)):
                found = station.run("projector", "run", "--name", "b", "--run-dir", station.run_dir, "--http", text)
                self.assertEqual(found[0], code, found[2])


HOSTILE = (
    b"\x00" * 4096, b"\r\n" * 4096, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
    b"GET /%00%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /\x00x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET " + b"/a" * 100000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: " + b"y" * 100000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 500, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n folded: x\r\n\r\n", b"GET /views/a?%=%&&&=&? HTTP/1.1\r\nHost: localhost\r\n\r\n",
)


class Hostile(unittest.TestCase):
    def is_well(self, projector, address):
        self.assertTrue(projector.running(), projector.log_text()[-2000:])
        weir.until(lambda: self.answers(address), "an answer")

    def answers(self, address):
        try:
            return web.ask(address, "/views/limits")[0] == 200
        except OSError:
            return False

    def test_hostile_bytes_get_an_error_or_nothing_and_memory_stays(self):
        with pipeline() as (_, projector, address):
            for _ in range(2):
                for data in HOSTILE:
                    answer = web.raw(address, data, limit=0.3)
                    self.assertRegex(answer[:12], rb"^(|HTTP/1\.[01] [245]\d\d.*)$", data[:60])
                    self.is_well(projector, address)
            before = projector.rss_bytes()
            for _ in range(weir.count("WEIR_ROUNDS", 15)):
                for data in HOSTILE:
                    with socket.create_connection(address) as connection:
                        with contextlib.suppress(OSError):
                            connection.sendall(data)
            self.is_well(projector, address)
            if not weir.sanitized():
                self.assertLess(projector.rss_bytes(), before + 16 * 1024 * 1024)

    def test_half_requests_and_a_thousand_idle_connections_starve_nobody_for_long(self):
        with pipeline() as (_, projector, address):
            before = projector.rss_bytes()
            connections = []
            for number in range(weir.count("WEIR_IDLE", 1000)):
                connection = socket.socket()
                connection.settimeout(1)
                with contextlib.suppress(OSError):
                    connection.connect(address)
                    connection.sendall(b"GET /views HTTP/1.1\r\nHost: loc"[: number % 30])
                connections.append(connection)
            self.assertTrue(projector.running())
            if not weir.sanitized():
                self.assertLess(projector.rss_bytes(), before + 32 * 1024 * 1024)
            for connection in connections:
                connection.close()
            self.is_well(projector, address)

    def test_pipelined_requests_are_answered_in_their_order(self):
        with pipeline() as (_, projector, address):
            targets = ["/views/limits?at=3", "/events?limit=1", "/healthz", "/nothing"] * 5
            data = "".join(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n" for target in targets)
            end = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            answer = web.raw(address, (data + end).encode(), limit=weir.LIMIT_SECONDS)  # until it is closed
            self.assertEqual(answer.count(b"HTTP/1.1 200 OK"), 16)
            self.assertEqual(answer.count(b"HTTP/1.1 404"), 5)
            self.assertTrue(answer.endswith(b"ready\n"), answer[-200:])
            self.is_well(projector, address)


if __name__ == "__main__":
    weir.main()
