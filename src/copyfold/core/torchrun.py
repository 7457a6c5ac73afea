"""Where this process stands among those that ``torchrun`` has started. Torch itself is not needed to know it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple


class Place(NamedTuple):
    """One process of `size`, the `rank`-th (from 0); on its machine the `local_rank`-th of `local_size`."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1


def own_place(environment: Mapping[str, str] = os.environ) -> Place:
    """The place that ``torchrun`` gave this process; the only one where ``torchrun`` did not start it.

    Other launchers set ``RANK`` and ``WORLD_SIZE`` too, and users forget them in their shells: they count only beside
    what ``torchrun`` alone sets.
    """
    if "TORCHELASTIC_RUN_ID" not in environment:
        return Place()
    return Place(*(int(environment[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")))
