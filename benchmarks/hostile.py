"""Hostile files through every reader: docs/benchmarks/hostile.md.

    python benchmarks/hostile.py --files 10000 --out hostile

Every file that a reader did not stand is kept below --out, with what came of it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import torch

from common import machine, print_table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from hostile.attack import Attack, attack, spare
from hostile.seeds import make_seeds, warm_up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--out", type=Path, default=Path("hostile"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        seeds, work = Path(folder) / "seeds", Path(folder) / "work"
        seeds.mkdir()
        _in_a_fork(seeds)
        warm_up(seeds)
        table: dict[str, Counter[str]] = defaultdict(Counter)
        slowest: dict[str, float] = defaultdict(float)
        most: dict[str, int] = defaultdict(int)
        for number, each in enumerate(attack(seeds, work, options.files, options.seed, spare(seeds, work)), 1):
            kind = each.target.kind
            table[kind][each.outcome.kind] += 1
            slowest[kind] = max(slowest[kind], each.outcome.seconds)
            most[kind] = max(most[kind], each.outcome.memory)
            if not each.outcome.is_good:
                _keep(options.out, number, each)
            if number % 500 == 0:
                print(number, dict(sum(table.values(), Counter())), file=sys.stderr, flush=True)
    print(f"{machine(torch.device('cpu'))}; {options.files} files, seed {options.seed}\n")
    names = ("read", "refused", "traceback", "crash", "hang", "memory", "escape")
    rows = [
        {"reader": kind, "files": sum(found.values())}
        | {name: found[name] for name in names}
        | {"slowest, s": round(slowest[kind], 2), "most memory, MiB": most[kind] >> 20}
        for kind, found in sorted(table.items())
    ]
    total = sum(table.values(), Counter())
    rows.append(
        {"reader": "all", "files": sum(total.values())}
        | {name: total[name] for name in names}
        | {"slowest, s": round(max(slowest.values()), 2), "most memory, MiB": max(most.values()) >> 20}
    )
    print_table(rows)


def _in_a_fork(seeds: Path) -> None:
    """Training starts threads, and a process that has had threads is not forked."""
    child = os.fork()
    if child == 0:
        make_seeds(seeds)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        raise SystemExit("the good files could not be made")


def _keep(out: Path, number: int, each: Attack) -> None:
    folder = out / f"{number:05d}-{each.outcome.kind}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / Path(each.file).name).write_bytes(each.content)
    (folder / "outcome.txt").write_text(f"{each.target.kind}, {each.file}\n{each.outcome.detail}\n")


if __name__ == "__main__":
    main()
