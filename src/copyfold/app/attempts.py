"""Reading what a report can do without: a failure is kept to be told, and the report goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from copyfold.errors import CopyfoldError

Found = TypeVar("Found")


class Attempts:
    """Calls that may fail; ``failures`` holds the message of each that did."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def __call__(self, read: Callable[[], Found]) -> Found | None:
        """What `read` returns, or None where it raises a `CopyfoldError`."""
        try:
            return read()
        except CopyfoldError as error:
            self.failures.append(str(error))
            return None
