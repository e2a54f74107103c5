"""Waits for a condition, with a deadline."""

import time

PAUSE_SECONDS = 0.2


class TooLate(Exception):
    """The condition was not true before the deadline."""


def until(what, condition, seconds):
    """Calls `condition` again and again, and returns its first true result."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TooLate(f"{what}: not within {seconds} seconds")
        time.sleep(PAUSE_SECONDS)
