"""Checkpoints: plain tensors and numbers, written atomically, read without pickle."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from copyfold.core.files import atomic_path
from copyfold.errors import InputError

CHECKPOINT_FORMAT = "copyfold-checkpoint/1"


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write `content` (tensors, numbers, strings, and lists and dicts of them) with its format's name."""
    packed = io.BytesIO()  # torch.save to a path tells a full disk as a RuntimeError without its reason
    torch.save({"format": CHECKPOINT_FORMAT, **content}, packed)
    with atomic_path(path) as partial:
        partial.write_bytes(packed.getbuffer())


def load_checkpoint(path: Path, *, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint with ``weights_only=True``.

    Raises
    ------
    InputError
        Missing, damaged, of another format, or holding anything but tensors and plain values.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such checkpoint; train first, or check the path")
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # torch's reader raises nearly anything on damaged bytes
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a readable checkpoint ({reason}); train again or restore the file") from None
    if not isinstance(content, dict) or content.get("format") != CHECKPOINT_FORMAT:
        raise InputError(f"{path}: not a checkpoint of format {CHECKPOINT_FORMAT}")
    return content
