"""The dashboard in headless Chromium: its numbers are the API's, the slider shows the views as of then,
it fits a phone, light and dark, works by keyboard alone, shows views in SQL as they come and are parked,
and asks no host but its own.  WEIR_SCREENSHOTS: a folder for pictures."""

import os
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import web  # noqa: E402
import weir  # noqa: E402

TEXT = "return document.getElementById(arguments[0]).textContent"
CELLS = "return [...document.querySelectorAll('#panel tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
VIEW = "document.querySelector(`#tabs [data-view=${arguments[0]}]`).click()"
SHOWN = "const panel = document.getElementById('panel').dataset; return [panel.view, panel.event]"
SLIDE = "const s = document.getElementById('slider'); s.value = arguments[0]; s.dispatchEvent(new Event('input'))"
HOSTS = "return [...new Set(performance.getEntriesByType('resource').map((entry) => new URL(entry.name).host))]"

FOCUS = """const at = document.activeElement, style = getComputedStyle(at), box = at.getBoundingClientRect();
const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
const seen = box.width > 0 && box.right > 0 && box.bottom > 0 && box.left < innerWidth && box.top < innerHeight;
return [at.id || at.className || at.textContent, ring && seen]"""
TABS = "return [...document.querySelectorAll('#tabs button')].map((tab) => [tab.dataset.view, tab.title])"
SLIDER_STEPS = 1000  # as in dashboard.js
MS = 1_000_000
LOOKS = 30


class Dashboard(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = web.Browser()
        cls.addClassCleanup(cls.browser.close)

    def picture(self, name):
        if folder := os.environ.get("WEIR_SCREENSHOTS"):
            self.browser.screenshot(Path(folder) / f"{name}.png")

    def rows(self, address, target):
        """The rows as the page writes numbers and texts."""
        rows = web.get(address, target)["rows"]
        return [[f"{value:,}" if isinstance(value, int) else value for value in row.values()] for row in rows]

    def place_before_the_last_order(self, station, address):
        """The last one of the slider that is earlier than an event that order_counts shows."""
        accepted = station.control().replay_all("accepted")
        first = accepted[0].accepted_at // MS * MS
        length = int(web.get(address, "/status")["projector"]["time"]) - first
        last_order = max(record.accepted_at for record in accepted if record.event[1].startswith("order."))
        return max(place for place in range(SLIDER_STEPS) if first + length * place // SLIDER_STEPS < last_order)

    def test_the_page_shows_what_the_api_says(self):
        browser = self.browser
        with weir.Station(limits=['"per-subject";q=5;w=20;pk=subject']) as station:
            station.start_processor()
            _, address = web.start(station)
            browser.look(1280, 1360, "light")
            browser.open(f"http://{address[0]}:{address[1]}/")
            station.start_producer("generate", "--rate", 400, "--count", 4000, "--subjects", 60).wait()
            last = str(station.control().status()["last_event_id"])
            weir.until(lambda: browser.run(TEXT, "state-text") == "Live", "a live page")
            browser.run(VIEW, "order_counts")
            weir.until(lambda: browser.run(SHOWN) == ["order_counts", last], "the last event")
            self.assertEqual(browser.run(CELLS), self.rows(address, "/views/order_counts"))
            weir.until(lambda: browser.run(TEXT, "accepted-total") == f"{int(last):,}", "the number accepted")
            refused = station.control().status()["refused"]["rate_limited"]
            weir.until(lambda: f"{refused:,}" in browser.run(TEXT, "reasons"), "the number refused")
            self.assertEqual(browser.run(TEXT, "refused-total"), f"{refused:,}")
            weir.until(lambda: browser.run("return document.querySelectorAll('#fullest meter').length") == 5, "full keys")
            browser.run(VIEW, "limits")
            weir.until(lambda: browser.run(SHOWN)[0] == "limits", "another view")
            self.picture("light")

            browser.run(VIEW, "order_counts")
            weir.until(lambda: browser.run(SHOWN)[0] == "order_counts", "the view before")
            now = browser.run(CELLS)
            browser.run(SLIDE, self.place_before_the_last_order(station, address) // 2)
            weir.until(lambda: browser.run(CELLS) != now, "the view as of then")
            event = browser.run(SHOWN)[1]
            self.assertLess(int(event), int(last))
            self.assertEqual(browser.run(CELLS), self.rows(address, f"/views/order_counts?at={event}"))
            self.picture("then")
            browser.run("document.getElementById('now').click()")
            weir.until(lambda: browser.run(CELLS) == now, "now again")

            browser.look(1280, 1360, "dark")
            self.assertEqual(browser.run("return getComputedStyle(document.body).backgroundColor"), "rgb(14, 20, 25)")
            self.picture("dark")
            browser.look(390, 844, "dark", mobile=True)
            weir.until(lambda: browser.run("return document.documentElement.scrollWidth") <= 390, "a page as wide as a phone")
            self.picture("phone")
            self.assertEqual(browser.run(HOSTS), [f"{address[0]}:{address[1]}"])

            station.processor.kill()
            weir.until(lambda: browser.run(TEXT, "state-text") == "Processor away", "word of its absence")
            station.processor.expected_exits = {-9, 0}

    def test_no_key_is_ever_shown_above_its_quota(self):
        browser = self.browser
        shown = ("return showFullest().then(() => [...document.querySelectorAll('#fullest .key')].map("
                 "(row) => Number(row.lastChild.textContent.split(' ')[0])))")
        with weir.Station(limits=['"per-subject";q=5;w=1;pk=subject']) as station:
            station.start_processor()
            _, address = web.start(station)
            browser.open(f"http://{address[0]}:{address[1]}/")
            traffic = station.start_producer("generate", "--rate", 400, "--subjects", 20)
            seen = []

            def often_and_full():
                seen.append(max([0, *browser.run(shown)]))
                return len(seen) >= LOOKS and max(seen) >= 5

            weir.until(often_and_full, "a key that is full")
            self.assertEqual(max(seen), 5)
            self.assertIn(traffic.stop(), (0, 2))

    def expect_focus(self, name):
        """There is the focus, and a ring that a person sees."""
        self.assertEqual(self.browser.run(FOCUS), [name, True])

    def test_everything_can_be_done_by_keyboard(self):
        browser = self.browser
        with weir.Station() as station:
            station.start_processor()
            _, address = web.start(station)
            source = station.source("shop")
            for status in ("new", "paid", "sent"):
                source.submit([weir.event(data={"status": status})])
                weir.until(lambda: web.get(address, "/views/order_counts")["event_id"] == str(source.last_sequence), "it")
            browser.look(1280, 800, "light")
            browser.open(f"http://{address[0]}:{address[1]}/")
            weir.until(lambda: browser.run(SHOWN) == ["limits", "3"], "the page")

            browser.press("Tab")
            self.assertEqual(browser.run(FOCUS), ["skip", True])
            browser.press("Enter")
            self.assertEqual(browser.run(FOCUS)[0], "views")
            browser.press("Tab")
            self.expect_focus("slider")
            browser.press("Tab")  # "Back to now" can do nothing now
            self.expect_focus("tab-limits")
            browser.press("Right", "Right")
            self.expect_focus("tab-revenue")
            browser.press("Left")
            self.expect_focus("tab-order_counts")
            weir.until(lambda: browser.run(SHOWN) == ["order_counts", "3"], "the view of that tab")
            self.assertEqual(browser.run(CELLS), [["new", "1"], ["paid", "1"], ["sent", "1"]])
            browser.press("Tab")
            self.expect_focus("panel")
            for link in ("views", "events", "live", "status", "metrics"):
                browser.press("Tab")
                self.expect_focus(link)

            browser.run("document.getElementById('slider').focus()")
            browser.press("Home")
            weir.until(lambda: browser.run(SHOWN)[1] in ("0", "1"), "the beginning")
            self.assertEqual(browser.run("return document.getElementById('slider').value"), "0")
            browser.press("End", "Left")
            weir.until(lambda: browser.run(SHOWN)[1] in ("1", "2"), "one step back from the last event")
            event = browser.run(SHOWN)[1]
            self.assertEqual(browser.run(CELLS), self.rows(address, f"/views/order_counts?at={event}"))
            self.assertNotIn(browser.run("return document.getElementById('slider').getAttribute('aria-valuetext')"), (None, "now"))
            browser.press("Tab")
            self.expect_focus("now")
            browser.press("Enter")
            self.expect_focus("slider")
            weir.until(lambda: browser.run(SHOWN)[1] == "3", "now again")

    def test_views_in_sql_come_and_are_parked_while_the_page_is_open(self):
        browser = self.browser
        with weir.Station() as station:
            views = station.folder / "views"
            views.mkdir()
            station.start_processor()
            _, address = web.start(station, "main", "--views-dir", views)
            station.source("shop").submit([weir.event()] * 3)
            browser.look(1280, 800, "light")
            browser.open(f"http://{address[0]}:{address[1]}/")
            weir.until(lambda: browser.run(SHOWN) == ["limits", "3"], "the page")
            text = "create table seen (id integer primary key, n integer check (n < 9)) strict;\n-- on: *\n{}\n"
            (views / "seen.sql").write_text(text.format("insert into seen values (event_id(), field('n'));"))
            weir.until(lambda: ["seen", ""] in browser.run(TABS), "its tab")
            self.assertEqual(browser.run(SHOWN)[0], "limits", "the view that was chosen before")
            browser.run(VIEW, "seen")
            weir.until(lambda: browser.run(CELLS) == [["1", "–"], ["2", "–"], ["3", "–"]], "its rows")
            station.source("late").submit([weir.event(data={"n": 9})])
            reason = "seen.sql:3: event 4 (order.created): CHECK constraint failed: n < 9"
            weir.until(lambda: ["seen", reason] in browser.run(TABS), "its tab says why it is parked")
            weir.until(lambda: reason in browser.run(TEXT, "panel"), "its panel too")
            (views / "seen.sql").unlink()
            weir.until(lambda: "seen" not in dict(browser.run(TABS)), "its tab is gone")
            weir.until(lambda: browser.run(SHOWN)[0] == "limits", "another view is chosen")


if __name__ == "__main__":
    weir.main()
