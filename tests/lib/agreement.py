"""Equal positions, equal digests: what the databases of several projectors say of their views."""

import collections
import sqlite3

# What makes two views the same, and where they stand. A view of one stream does not depend on how far
# the other is, but the position says both.
SAME = "view, kind, format, log_id, since, event_id, rejection_id"


def checkpoints(path):
    """[(what it is and where it stands, digest), …] of a projector's database."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return [(row[:-1], row[-1]) for row in database.execute(f"select {SAME}, digest from weir_checkpoints")]
    finally:
        database.close()


def check(paths):
    """Asserts that equal views at equal positions have equal digests; gives how many were compared."""
    found = collections.defaultdict(dict)
    for path in paths:
        if path.exists():
            for place, digest in checkpoints(path):
                found[place][path] = digest
    for place, digests in found.items():
        assert len(set(digests.values())) == 1, f"{SAME} = {place}: " + ", ".join(
            f"{path.name} has {digest}" for path, digest in sorted(digests.items()))
    return sum(len(digests) > 1 for digests in found.values())
