"""Hostile files of every target, one after another, and what came of each."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hostile.guard import SECONDS, Outcome, watch
from hostile.mutations import mutate
from hostile.targets import TARGETS, Target

_JOBS_A_ROUND = 8


class Attack(NamedTuple):
    """One hostile file.

    Attributes
    ----------
    target : Target
    file : str
    content : bytes
    outcome : Outcome
    """

    target: Target
    file: str
    content: bytes
    outcome: Outcome


def spare(seeds: Path, work: Path, targets: Sequence[Target] = TARGETS) -> dict[Target, Outcome]:
    """What every target makes of good files: else each hostile one would be refused for another reason than its own."""
    return {target: attack_once(seeds, work, target, target.files[0], None, 300.0) for target in targets}


def attack(
    seeds: Path,
    work: Path,
    n_files: int,
    seed: int,
    good: Mapping[Target, Outcome],
    seconds: float = SECONDS,
    targets: Sequence[Target] = TARGETS,
) -> Iterator[Attack]:
    """Attack the targets in turn with `n_files` hostile files in all; the same seed makes the same files.

    `good` is what `spare` has found, which tells how much memory is usual. `targets` restricts it to those.
    """
    random = np.random.default_rng(seed)
    for target in islice(in_turn(targets), n_files):
        name = target.files[random.integers(len(target.files))]
        content = mutate(name, (seeds / target.folder / name).read_bytes(), random)
        usual = good[target].memory
        yield Attack(target, name, content, attack_once(seeds, work, target, name, content, seconds, usual))


def in_turn(targets: Sequence[Target]) -> Iterator[Target]:
    """Without end: every reader, then some of the costly jobs, every reader, the next of the costly jobs, and so on."""
    readers = [target for target in targets if not target.costly]
    jobs = cycle([target for target in targets if target.costly])
    n_jobs = min(_JOBS_A_ROUND, sum(target.costly for target in targets))
    while True:
        yield from readers
        yield from islice(jobs, n_jobs)


def attack_once(
    seeds: Path,
    work: Path,
    target: Target,
    name: str,
    content: bytes | None,
    seconds: float = SECONDS,
    usual: int | None = None,
) -> Outcome:
    """What a target makes of its good files with one of them replaced; None replaces none."""
    folder = work / target.folder
    if not folder.exists():
        shutil.copytree(seeds / target.folder, folder)
        for record in folder.glob("*/run.json"):
            record.write_text(record.read_text().replace(f"{seeds}/", f"{work}/"))
    path = folder / name
    good = path.read_bytes()
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    if content is not None:
        path.write_bytes(content.replace(str(seeds).encode() + b"/", str(work).encode() + b"/"))
    before = _listing(folder)
    try:
        size = max(item.stat().st_size for item in folder.rglob("*") if item.is_file())
        outcome = watch(lambda: target.read(folder), out, size, seconds, usual)
        if outcome.is_good and _listing(folder) != before:
            outcome = outcome._replace(kind="escape", detail="files beside the output have changed")
        return outcome
    finally:
        path.write_bytes(good)


def _listing(folder: Path) -> dict[Path, tuple[int, int]]:
    kept = (item for item in folder.rglob("*") if item.relative_to(folder).parts[0] != "out")
    return {item: (item.stat().st_mtime_ns, item.stat().st_size) for item in kept if item.is_file()}
