"""How large a test is, and waiting for a condition: nothing is ever timed."""

import os
import time

SECOND = 1_000_000_000
LIMIT_SECONDS = float(os.environ.get("WEIR_LIMIT_SECONDS", "60"))


def count(name, default):
    """A test's size: small in CI, larger through the environment."""
    return int(os.environ.get(name, default))


def until(condition, what, limit=None):
    """Polls until condition() is true and returns its value."""
    deadline = time.monotonic() + (limit or LIMIT_SECONDS)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain: {what}")
        time.sleep(0.005)
