"""Logs of small segments with many snapshots, for the tests of both."""

from pathlib import Path

import weir

SEGMENT_BYTES = 4 * 1024 * 1024
SMALL = ("--segment-bytes", SEGMENT_BYTES, "--snapshot-bytes", 512 * 1024)
# One snapshot at the beginning of each segment, and no other.
ONE_EACH = ("--segment-bytes", SEGMENT_BYTES, "--snapshot-bytes", 6 * 1024 * 1024)
PADDING = "x" * 400
STEP = 500  # events


def snapshots(station):
    folder = Path(station.store) / "snapshots"
    return sorted(folder.glob("*.snap")) if folder.exists() else []


def segments(station):
    return sorted(path for path in (Path(station.store) / "log").glob("*.seg") if path.name != "spare.seg")


def fill(station, source, events, subjects=500):
    """About 500 bytes of log per event; half of what goes to one subject is refused."""
    for first in range(0, events, STEP):
        source.send([weir.event(subject=f"s-{i % subjects}", data={"padding": PADDING})
                     for i in range(first, first + STEP)])
        source.wait()


def place(status):
    """What a state's digest is compared by."""
    return status["last_event_id"], status["last_rejection_id"], status["durable"]["state_digest"]


def grow(station, source, number, subjects=500):
    """Fills until `number` more segments are sealed, each with a snapshot at its beginning (ONE_EACH): the
    newest one stands before the last segment but one."""
    control = station.control()
    for _ in range(number):
        before = control.status()["durable"]["segment"]
        while control.status()["durable"]["segment"] == before:
            fill(station, source, STEP, subjects)
        weir.until(lambda before=before: before == 0 or any(int(path.stem) == before for path in snapshots(station)),
                   f"a snapshot before batch {before}")
