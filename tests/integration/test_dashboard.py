"""The dashboard in headless Chromium: its numbers are the API's, the slider shows the views as of then,
it fits a phone, light and dark, and asks no host but its own.  WEIR_SCREENSHOTS: a folder for pictures."""

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
            refused = web.get(address, "/status")["processor"]["refused"]["rate_limited"]
            weir.until(lambda: f"{refused:,}" in browser.run(TEXT, "reasons"), "the number refused")
            self.assertEqual(browser.run(TEXT, "refused-total"), f"{refused:,}")
            weir.until(lambda: browser.run("return document.querySelectorAll('#fullest meter').length") == 5, "full keys")
            browser.run(VIEW, "limits")
            weir.until(lambda: browser.run(SHOWN)[0] == "limits", "another view")
            self.picture("light")

            browser.run(VIEW, "order_counts")
            weir.until(lambda: browser.run(SHOWN)[0] == "order_counts", "the view before")
            now = browser.run(CELLS)
            browser.run(SLIDE, 100)
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


if __name__ == "__main__":
    weir.main()
