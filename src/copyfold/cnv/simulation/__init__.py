"""Simulated cohorts with known truth.

`simulate` draws a `SimulatedCohort` from `SimulationSettings` (`preset`, `load_settings`) on a `Geometry`
(`hs11286_geometry`, or `like` a depth table); `write_cohort` writes it as stores and truth tables.
"""

from copyfold.cnv.simulation.cohort import SimulatedCohort, mapped_shares, simulate, true_copies
from copyfold.cnv.simulation.geometry import Geometry, hs11286_geometry
from copyfold.cnv.simulation.settings import PRESETS, SimulationSettings, load_settings, preset
from copyfold.cnv.simulation.table import like
from copyfold.cnv.simulation.writer import write_cohort

__all__ = [
    "PRESETS",
    "Geometry",
    "SimulatedCohort",
    "SimulationSettings",
    "hs11286_geometry",
    "like",
    "load_settings",
    "mapped_shares",
    "preset",
    "simulate",
    "true_copies",
    "write_cohort",
]
