"""A simulated cohort on disk."""

from __future__ import annotations

from pathlib import Path

from copyfold.cnv.simulation import PRESETS, like, load_settings, preset, simulate, write_cohort
from copyfold.core.console import Console
from copyfold.core.files import check_vacant
from copyfold.errors import ConfigError


def simulate_cohort(out: Path, isolates: int, settings: str, table: Path | None, seed: int, console: Console) -> None:
    """Simulate a cohort and write it as docs/formats/simulation.md says.

    Parameters
    ----------
    out : Path
        Folder to make.
    isolates : int
    settings : str
        Name of a preset, or path of a YAML file.
    table : Path, optional
        Depth table whose bins, replication trend and noise to take.
    seed : int

    Raises
    ------
    CopyfoldError
        Impossible settings, a damaged table, or a folder that holds something.
    """
    check_vacant(out)
    if settings not in PRESETS and not Path(settings).exists():
        raise ConfigError(f"--settings {settings}: must be {' or '.join(PRESETS)}, or a YAML file of settings")
    chosen = preset(settings) if settings in PRESETS else load_settings(Path(settings))
    geometry = None if table is None else like(table)
    console.say(f"simulating {isolates} isolates ({chosen.name}, seed {seed})")
    write_cohort(simulate(chosen, isolates, seed, geometry), out)
