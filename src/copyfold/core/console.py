"""What a command says while it works: plain lines in a log file, a bar in a terminal. All of it on stderr."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Told how far a long job is."""

    def __call__(self, done: int, note: str = "") -> None: ...


class Console:
    """Messages and progress of one command.

    Parameters
    ----------
    quiet : bool
        Say nothing but warnings.
    seconds_between_lines : float
        Off a terminal, a job writes a progress line no more often than this.
    """

    def __init__(self, *, quiet: bool = False, seconds_between_lines: float = 15.0) -> None:
        self.quiet = quiet
        self.seconds_between_lines = seconds_between_lines

    def say(self, message: str) -> None:
        """One line of information."""
        if not self.quiet:
            print(message, file=sys.stderr, flush=True)

    def warn(self, message: str) -> None:
        """One line that a user should not miss."""
        print(f"warning: {message}", file=sys.stderr, flush=True)

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Progress]:
        """A job of `total` steps: yields what to call with the number of steps done."""
        if self.quiet:
            yield lambda done, note="": None
        elif sys.stderr.isatty():
            with self._bar(title, total) as update:
                yield update
        else:
            yield self._lines(title, total)

    @contextmanager
    def _bar(self, title: str, total: int) -> Iterator[Progress]:
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with RichProgress(*columns, console=RichConsole(stderr=True)) as bar:
            task = bar.add_task(title, total=total, note="")

            def update(done: int, note: str = "") -> None:
                bar.update(task, completed=done, note=note)

            yield update

    def _lines(self, title: str, total: int) -> Progress:
        first: tuple[float, int] | None = None
        last_line = -math.inf

        def update(done: int, note: str = "") -> None:
            nonlocal first, last_line
            now = time.monotonic()
            # Timed from the first report on: a resumed job starts part of the way along, and first steps compile.
            first = first or (now, done)
            if done < total and now - last_line < self.seconds_between_lines:
                return
            last_line = now
            left = ""
            if first[1] < done < total:
                left = f", about {format_seconds((now - first[0]) / (done - first[1]) * (total - done))} left"
            self.say(f"{title} {done}/{total}{left}{'  ' + note if note else ''}")

        return update


class Silence(Console):
    """Says nothing at all, for a process whose part another one tells."""

    def __init__(self) -> None:
        super().__init__(quiet=True)

    def warn(self, message: str) -> None:
        """Nothing."""


def format_seconds(seconds: float) -> str:
    """Seconds as people read them: ``42 s``, ``3 min 05 s``, ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
