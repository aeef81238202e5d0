"""A new schema version without touching what is there: a copy of the sources with one more file in
common/event/upcast builds, and whoever reads the old events then sees the new version of them.
"""

import json
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import checkout  # noqa: E402
import weir  # noqa: E402

NAME = "inventory_stock_added_1"
EXAMPLE = weir.ROOT / f"docs/examples/{NAME}.c"
EXIT_CONFIG = 78
STOCK = [("inventory.stock_added", "pear", {"count": 5}, 1),
         ("inventory.stock_added", "pear", {"quantity": 2}, 1),
         ("inventory.stock_removed", "pear", {"quantity": 1}, 1),
         ("inventory.stock_added", "fig", {"quantity": 9, "count": 4}, 1),
         ("inventory.stock_added", "fig", {"count": 3}, 2)]  # what version 2 knows nothing of
BEFORE = [{"product": "fig", "quantity": 9}, {"product": "pear", "quantity": 1}]
AFTER = [{"product": "fig", "quantity": 9}, {"product": "pear", "quantity": 6}]


class AddUpcast(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.station = weir.Station(compares_views=False)  # the old program folds otherwise
        cls.sources = checkout.Checkout(cls.station.folder / "checkout")
        cls.folder = cls.sources.folder / "common/event/upcast"

    @classmethod
    def tearDownClass(cls):
        cls.station.close()

    def setUp(self):
        self.addCleanup(self.remove_all_but, set(self.folder.iterdir()))

    def remove_all_but(self, files):
        for file in set(self.folder.iterdir()) - files:
            file.unlink()

    def add(self, name, version):
        """One more migration, like the example; gives its file."""
        file = self.folder / f"{name}.c"
        file.write_text(EXAMPLE.read_text().replace(NAME, name).replace(".from = 1", f".from = {version}"))
        return file

    def start(self, binary, name, *more):
        program = weir.Program([binary, "run", "--name", name, "--run-dir", self.station.run_dir, *more],
                               self.station.folder, name)
        self.station.programs.append(program)
        return program

    def shows(self, name, rows):
        query = self.station.query(name)
        weir.until(lambda: query.request("view", "inventory_levels", None)[0][0]["rows"] == rows, f"{name}: {rows}")

    def history(self, binary, *more):
        done = subprocess.run([binary, "history", "--store", self.station.store, *more],
                              capture_output=True, text=True, timeout=weir.LIMIT_SECONDS, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_one_more_file_makes_a_new_version_of_old_events(self):
        station = self.station
        station.start_processor()
        station.source("s").submit([weir.event(*event[:3], schema_version=event[3]) for event in STOCK])
        old = station.start_projector("main")
        self.shows("main", BEFORE)
        self.assertEqual(old.stop(), 0)

        self.add(NAME, 1)
        programs = self.sources.build("weir-projector", "weir-processor")
        self.start(programs / "weir-projector", "late").wait_ready()
        self.shows("late", AFTER)
        self.start(programs / "weir-projector", "main", "--rebuild").wait_ready()
        self.shows("main", AFTER)

        # Both go on alike, with an event of either version.
        station.source("t").submit([weir.event("inventory.stock_added", "pear", {"count": 10}),
                                    weir.event("inventory.stock_added", "fig", {"quantity": 1}, schema_version=2)])
        for name in ("main", "late"):
            self.shows(name, [{"product": "fig", "quantity": 10}, {"product": "pear", "quantity": 16}])
        status = station.control().status()
        for view, digests in weir.digests_at([station.query("main"), station.query("late")], status,
                                             ["inventory_levels"]).items():
            self.assertEqual(len(digests), 1, view)

        read = self.history(programs / "weir-processor")
        added = [line for line in read if line["type"] == "inventory.stock_added"]
        self.assertEqual({line["schemaversion"] for line in added}, {2})
        self.assertEqual(added[0]["data"], {"quantity": 5})
        raw = self.history(programs / "weir-processor", "--raw")
        self.assertEqual(raw[0]["data"], {"count": 5})

    def refused(self, binary, *arguments):
        done = subprocess.run([binary, *arguments], capture_output=True, text=True,
                              timeout=weir.LIMIT_SECONDS, check=False)
        self.assertEqual(done.returncode, EXIT_CONFIG, done.stderr)
        return done.stderr

    def test_a_gap_or_a_double_is_refused_at_the_start(self):
        self.add(NAME, 1)
        for name, version, words in (("again", 1, [NAME, "again", "both lead from version 1"]),
                                     ("later", 3, ["later", "none leads from version 2"])):
            file = self.add(name, version)
            programs = self.sources.build("weir-projector", "weir-processor")
            for err in (self.refused(programs / "weir-projector", "fold", "inventory_levels"),
                        self.refused(programs / "weir-processor", "history", "--store", self.station.store)):
                for word in words:
                    self.assertIn(word, err)
            file.unlink()


if __name__ == "__main__":
    weir.main()
