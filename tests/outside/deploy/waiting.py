"""Waiting for what will be, with a deadline, and never for longer than it takes."""

import time

PAUSE_SECONDS = 0.2


class TooLate(Exception):
    """What was waited for did not come."""


def until(what, condition, seconds):
    """Asks again and again, and returns the first answer that is true."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TooLate(f"{what}: not within {seconds} seconds")
        time.sleep(PAUSE_SECONDS)
