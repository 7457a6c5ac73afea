"""Settings of the simulator: strict, frozen, read from YAML; presets `easy` and `hard` ship with the package.

Every number of a preset is explained beside it in ``presets/simulate_*.yaml``.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from copyfold.core.config import read_yaml_mapping
from copyfold.errors import ConfigError

Preset = Literal["easy", "hard"]
PRESETS: tuple[Preset, ...] = ("easy", "hard")

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError("the first number must not be above the second")
    return bounds


ShareRange = Annotated[tuple[Share, Share], Field(strict=False), AfterValidator(_ordered)]
NonNegativeRange = Annotated[tuple[NonNegative, NonNegative], Field(strict=False), AfterValidator(_ordered)]
PositiveRange = Annotated[tuple[Positive, Positive], Field(strict=False), AfterValidator(_ordered)]


CopiesRange = Annotated[
    tuple[Annotated[int, Field(ge=2)], Annotated[int, Field(ge=2)]],
    Field(strict=False),
    AfterValidator(_ordered),
]


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Depth(_Section):
    """Reads per full-width bin at one copy: log-normal over isolates."""

    median: Positive
    log_sd: NonNegative


class Bias(_Section):
    """What bends an isolate's depth along the genome; log2 units, GC as a fraction of 1."""

    log2_ori_ter: NonNegativeRange
    gc_slope_batch_sd: NonNegative
    gc_slope_sd: NonNegative
    gc_curvature_mean: float
    gc_curvature_sd: NonNegative
    bin_sd: NonNegative
    stray_share: Share


class Noise(_Section):
    """Negative-binomial dispersion (variance = mean + dispersion × mean²): log-normal over isolates."""

    dispersion_median: Positive
    dispersion_log_sd: NonNegative


class Batches(_Section):
    """Sequencing batches: one smooth and one per-bin log2 profile each."""

    count: Annotated[int, Field(ge=1)]
    smooth_sd: NonNegative
    bin_sd: NonNegative
    strength_sd: NonNegative
    home_share: Share


class Quality(_Section):
    """Isolates that a caller should refuse or survive; the rates add up to at most 1."""

    failed_rate: Share
    failed_depth_factor: ShareRange
    contaminated_rate: Share
    contamination_share: ShareRange
    noisy_rate: Share
    noisy_dispersion_factor: Annotated[float, Field(ge=1)]
    noisy_wave_sd: NonNegative

    @model_validator(mode="after")
    def _rates(self) -> Quality:
        if self.failed_rate + self.contaminated_rate + self.noisy_rate > 1:
            raise ValueError("failed_rate, contaminated_rate and noisy_rate add up to more than 1")
        return self


class Lineages(_Section):
    """Lineages (STs) and what their members share; lengths in bp, `islands_per_mb` over the reference."""

    common: Annotated[int, Field(ge=1)]
    zipf_exponent: NonNegative
    singleton_rate: Share
    islands_per_mb: NonNegative
    island_bp: PositiveRange
    island_absence_beta: Annotated[tuple[Positive, Positive], Field(strict=False)]
    private_absences: NonNegative
    private_absence_bp: PositiveRange
    duplications: NonNegative
    duplication_bp: PositiveRange
    divergent_bin_share: Share
    divergent_run_bins: Annotated[float, Field(ge=1)]
    divergent_factor: ShareRange


class Events(_Section):
    """Copy changes of single isolates at random places; mean numbers are per isolate, lengths in bp."""

    bp: PositiveRange
    amplifications: NonNegative
    copies: CopiesRange
    copies_exponent: NonNegative
    mixed_share: Share
    mixed_copies: PositiveRange
    deletions: NonNegative


class Gene(_Section):
    """Copy changes of each gene of the chromosomal panel, as rates per isolate."""

    amplification_rate: Share
    mixed_rate: Share
    deletion_rate: Share
    copies: CopiesRange
    copies_exponent: NonNegative
    array_bp: PositiveRange

    @model_validator(mode="after")
    def _rates(self) -> Gene:
        if self.amplification_rate + self.mixed_rate + self.deletion_rate > 1:
            raise ValueError("amplification_rate, mixed_rate and deletion_rate add up to more than 1")
        return self


class Family(_Section):
    """One plasmid gene family: how often, at what copy number, and which allele its reads show as."""

    prevalence: Share
    copies_median: Positive
    copies_log_sd: NonNegative
    alleles: dict[str, Positive]


class Plasmids(_Section):
    """Plasmid genes; `lineage_concentration` small means that a lineage mostly has a family or lacks it."""

    lineage_concentration: Positive
    copies_range: PositiveRange
    stray_copies: NonNegativeRange
    shv_bleed_rate: Share
    shv_bleed_share: ShareRange
    families: dict[str, Family]


class SimulationSettings(_Section):
    """All settings of one simulated cohort; see docs/methods/simulation.md for the formulas."""

    name: str
    depth: Depth
    bias: Bias
    noise: Noise
    batches: Batches
    quality: Quality
    lineages: Lineages
    events: Events
    gene: Gene
    plasmids: Plasmids


def preset(name: str) -> SimulationSettings:
    """Settings carried in the package.

    Parameters
    ----------
    name : str
        ``easy`` or ``hard``.

    Raises
    ------
    ConfigError
        There is no such preset.
    """
    if name not in PRESETS:
        raise ConfigError(f"simulation preset '{name}' does not exist; choose one of: {', '.join(PRESETS)}")
    with resources.as_file(resources.files("copyfold") / "presets" / f"simulate_{name}.yaml") as path:
        return load_settings(path)


def load_settings(path: Path) -> SimulationSettings:
    """Settings from a YAML file.

    Raises
    ------
    ConfigError
        The file cannot be read, is not YAML, or a key is unknown, missing or impossible.
    """
    return _validated(read_yaml_mapping(path), str(path))


def changed(settings: SimulationSettings, **sections: dict[str, Any]) -> SimulationSettings:
    """A copy with some values replaced: ``changed(settings, depth={"median": 60.0})``."""
    values = settings.model_dump()
    for section, update in sections.items():
        values[section] = {**values.get(section, {}), **update}
    return _validated(values, settings.name)


def _validated(values: dict[str, Any], origin: str) -> SimulationSettings:
    try:
        return SimulationSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "settings"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        if first["type"] == "missing":
            raise ConfigError(f"{origin}: {key} is missing; every setting must be given{more}") from error
        if first["type"] == "extra_forbidden":
            raise ConfigError(f"{origin}: {key} is not a setting; remove or correct it{more}") from error
        shown = repr(first["input"])
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        raise ConfigError(f"{origin}: {key} is {shown}; {_rule(first['msg'])}{more}") from error


def _rule(message: str) -> str:
    text = message.removeprefix("Value error, ").removeprefix("Input ")
    return text[0].lower() + text[1:]
