"""Hostile files through every reader: docs/benchmarks/hostile.md.

    python benchmarks/hostile.py --files 10000 --out hostile

Every file that a reader did not stand is kept below --out, with what came of it. The table of what is done so far is
printed at the end, and when the benchmark is stopped. --only attacks readers whose name holds one of the words.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from common import machine, print_table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from hostile.attack import Attack, attack, spare
from hostile.guard import Outcome
from hostile.seeds import make_seeds, warm_up
from hostile.targets import TARGETS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--only", nargs="+", default=[""])
    parser.add_argument("--out", type=Path, default=Path("hostile"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    targets = [target for target in TARGETS if any(word in target.kind for word in options.only)]
    found: list[tuple[str, Outcome]] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        seeds, work = Path(folder) / "seeds", Path(folder) / "work"
        seeds.mkdir()
        _in_a_fork(seeds)
        warm_up(seeds)
        try:
            good = spare(seeds, work, targets)
            for each in attack(seeds, work, options.files, options.seed, good, targets=targets):
                found.append((each.target.kind, each.outcome))
                if not each.outcome.is_good:
                    _keep(options.out, len(found), each)
                if len(found) % 500 == 0:
                    counted = Counter(outcome.kind for _, outcome in found)
                    print(len(found), dict(counted), file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            print(f"stopped: {len(found)} of {options.files} files", file=sys.stderr)
    minutes = (time.monotonic() - began) / 60
    print(f"{machine(torch.device('cpu'))}; {len(found)} files, seed {options.seed}; {minutes:.0f} min\n")
    kinds = sorted({kind for kind, _ in found})
    rows = [_row(kind, [outcome for name, outcome in found if name == kind]) for kind in kinds]
    print_table([*rows, _row("all", [outcome for _, outcome in found])])


def _row(reader: str, outcomes: list[Outcome]) -> dict[str, Any]:
    counted = Counter(outcome.kind for outcome in outcomes)
    names = ("read", "refused", "traceback", "crash", "hang", "memory", "escape")
    return {
        "reader": reader,
        "files": len(outcomes),
        **{name: counted[name] for name in names},
        "slowest, s": round(max(outcome.seconds for outcome in outcomes), 2),
        "most memory, MiB": max(outcome.memory for outcome in outcomes) >> 20,
    }


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
