"""Commands in forks of a process that has loaded what they load: many of them in the time that one would start in."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from copyfold.cli.main import main
from copyfold.engine import DeterministicConfig
from faults.injection import Ended, Stop

_LOADED = ("cnv_run", "counts", "ddg_train", "ddg_refine", "report", "resuming")


def load() -> None:
    """Load what the commands load; nothing that starts a thread."""
    for name in _LOADED:
        import_module(f"copyfold.app.{name}")
    DeterministicConfig(42).apply()


class Fork:
    """A command in a fork of this process."""

    def __init__(self, arguments: Sequence[object], prelude: str, said: Path) -> None:
        self._status: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _work(list(map(str, arguments)), prelude, said)

    def poll(self) -> int | None:
        if self._status is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        deadline = time.monotonic() + (600 if timeout is None else timeout)
        while (status := self.poll()) is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            time.sleep(min(left, 0.001))
        return status

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)


def run_in_fork(arguments: Sequence[object], prelude: str = "", stop: Stop | None = None) -> Ended:
    """As `faults.injection.run`, in a fork of this process."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "stderr"
        process = Fork(arguments, prelude, said)
        if stop is not None:
            stop(process)
        returncode = process.wait()
        return Ended(returncode, said.read_text() if said.exists() else "", time.monotonic() - began)


def _work(arguments: list[str], prelude: str, said: Path) -> None:
    code = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT), 2)
        sys.argv = ["copyfold", *arguments]
        exec(prelude, {})
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
