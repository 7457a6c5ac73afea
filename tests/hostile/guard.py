"""Run a reader on a hostile file in a process of its own, and say what came of it.

The process is a fork, so that a crash, a hang or a gigabyte of memory is its own affair. Python's audit events tell
what it writes and starts, whoever asked for it.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from copyfold.errors import CopyfoldError

SECONDS = 10.0
"""Of processor time: on a busy machine a clock on the wall tells of others' work."""
_PATIENCE = 12
MEMORY_SHARE = 2
MEMORY_GRACE = 32 << 20
_BEYOND_ALL = 3 << 30
_STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.startfile", "socket.connect")
_TOUCHES = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.link", "os.truncate", "shutil.rmtree")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Outcome(NamedTuple):
    """What a reader made of a file.

    Attributes
    ----------
    kind : str
        ``read`` and ``refused`` are good; ``traceback``, ``crash``, ``hang``, ``memory`` and ``escape`` are not.
    detail : str
    seconds : float
    memory : int
        Bytes beyond what the process began with.
    """

    kind: str
    detail: str
    seconds: float
    memory: int

    @property
    def is_good(self) -> bool:
        return self.kind in ("read", "refused")


def watch(
    read: Callable[[], Any], allowed: Path, size: int, seconds: float = SECONDS, usual: int | None = None
) -> Outcome:
    """`read()` in a fork that may write below `allowed` only, of files of `size` bytes.

    It may take `MEMORY_SHARE` times that, beyond the `usual` memory that it takes of a good file for modules, codecs
    and tables of code; None sets no bound.
    """
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receiving)
        _work(read, allowed, sending, seconds)
    os.close(sending)
    began = time.monotonic()
    said = _hear(receiving, began + _PATIENCE * seconds)
    if said is None:
        os.kill(child, signal.SIGKILL)
    os.close(receiving)
    _, status, spent = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(status)
    took = spent.ru_utime + spent.ru_stime
    if said is None or code == -signal.SIGXCPU:
        return Outcome("hang", f"not done after {seconds:g} s", took, 0)
    if not said:
        return Outcome("crash", f"ended with {code}", took, 0)
    kind, detail, memory = json.loads(said)
    if kind in ("read", "refused") and usual is not None and memory > usual + MEMORY_SHARE * size + MEMORY_GRACE:
        kind, detail = "memory", f"{memory >> 20} MiB for {size} bytes; {detail}"
    return Outcome(kind, detail, took, memory)


def _hear(handle: int, deadline: float) -> bytes | None:
    """Everything that is written to a pipe, or None where its end does not come in time."""
    os.set_blocking(handle, False)
    said = b""
    while (left := deadline - time.monotonic()) > 0:
        try:
            piece = os.read(handle, 1 << 16)
        except BlockingIOError:
            time.sleep(min(left, 0.001))
            continue
        if not piece:
            return said
        said += piece
    return None


def _work(read: Callable[[], Any], allowed: Path, sending: int, seconds: float) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + _BEYOND_ALL, used + _BEYOND_ALL))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds) + 1))
    escapes: list[str] = []
    _audit(allowed.resolve(), escapes)
    tempfile.tempdir = str(allowed)
    before = _peak()
    kind, detail = "read", ""
    try:
        read()
    except CopyfoldError as error:
        kind, detail = "refused", str(error)
        if "\n" in detail or not detail:
            kind, detail = "traceback", f"a message of {len(detail.splitlines())} lines: {detail!r}"
    except MemoryError:
        kind, detail = "memory", traceback.format_exc(limit=-2)
    except BaseException:
        kind, detail = "traceback", traceback.format_exc()
    memory = _peak() - before
    if escapes:
        kind, detail = "escape", escapes[0]
    os.write(sending, json.dumps([kind, detail[-2000:], memory]).encode()[:60_000])
    os._exit(0)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _reads_compiled_code() -> bool:
    """Whether numba is at work, which pickles the code that it has compiled into its own cache beside the modules."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_globals.get("__name__") == "numba.core.caching":
            return True
        frame = frame.f_back
    return False


def _audit(allowed: Path, escapes: list[str]) -> None:
    """Note every start of a program, call of a pickle and change of a file outside `allowed`."""

    def outside(path: Any, folder: Any = -1) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        base = f"/proc/self/fd/{folder}" if isinstance(folder, int) and folder >= 0 else ""
        place = Path(os.path.realpath(Path(base, os.fsdecode(path))))
        if place.parts[1:2] in (("dev",), ("proc",)) or "__pycache__" in place.parts:  # compiled code, numba's too
            return False
        return place != allowed and allowed not in place.parents

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = set(mode or "") & set("wax+") if mode else (flags or 0) & _WRITING
            if writes and outside(path):
                escapes.append(f"opened {path!r} to write")
        elif event in _TOUCHES:
            two = event in ("os.rename", "os.link", "os.symlink")
            folders = arguments[2:] if two else arguments[-1:]
            if outside(arguments[1 if two else 0], folders[-1]) or (event == "os.rename" and outside(*arguments[::2])):
                escapes.append(f"{event} {arguments!r}")
        elif event in _STARTS or (event == "pickle.find_class" and not _reads_compiled_code()):
            escapes.append(f"{event} {arguments!r}")

    sys.addaudithook(hook)
