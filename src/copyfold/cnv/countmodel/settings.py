"""Hyper-parameters of the count model; docs/methods/count-model.md says where each number comes from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CountModelSettings:
    """Hyper-parameters of the count model.

    Probabilities are per bin; levels are copies relative to one copy; standard deviations of logarithms are natural.

    Attributes
    ----------
    n_factors : int
        Factors K of the expected depth; at most a quarter of the isolates are used.
    n_rounds : int
        Rounds of decoding all isolates and refitting the expected depth.
    n_sweeps : int
        Alternations between bins and isolates in a round.
    n_decodings : int
        Decodings of an isolate when it is inferred; its coefficients are refitted in between.
    covariate_sd : tuple of float
        Prior standard deviation of the isolates' coefficients, one per covariate (as `bin_covariates` orders them).
    baseline_sd : float
        Prior standard deviation of a well mapped bin's log baseline around log(mappability × width).
    free_baseline_sd : float
        The same without mappabilities, around the cohort's trimmed median; doubled where few isolates have the bin.
    loading_sd : float
        Largest prior standard deviation of the factors' loadings; the actual one is learnt for each factor.
    dispersion_floor : float
        Least negative-binomial dispersion of an isolate.
    min_depth : float
        Reads per bin at one copy below which an isolate is not used and not called.
    absent_start, gain_start, divergent_start : float
        Probability that an absent, a gained or a divergent run starts after a bin with one copy.
    mixed_share : float
        Share of the gains that are mixed (only part of the culture has them).
    reset : float
        Probability that the chain forgets its state: whatever the transitions rule out stays possible.
    outlier : float
        Weight of the uniform floor under every emission: no single bin can rule a state out.
    gain_levels, mixed_levels, divergent_levels, residual_levels : tuple of float
        Levels of gained, mixed, divergent (one copy, fewer reads map) and mostly absent states, ascending. Gains of 2,
        3 and 4 copies occur divergent, too. `gain_levels` starts with 2, 3, 4.
    stray_levels, stray_weights : tuple of float
        Reads in absent bins, as a mixture of levels: stray alignments and contamination.
    diluted_two : float
        Level of a second state of two copies: diluted by contamination or revertants.
    shared_ends, relatives : bool
        Learn where islands end over isolates (`ends`); learn the divergence of lineages (`relatives`).
    relative_similarity : float
        Jaccard index of the sets of absent bins above which isolates are taken to be relatives.
    mixed_certainty : float
        Posterior share of the mixed states, among more than one copy, from which a bin or gene is called mixed.
    """

    n_factors: int = 10
    n_rounds: int = 3
    n_sweeps: int = 3
    n_decodings: int = 2
    covariate_sd: tuple[float, ...] = (3.0, 30.0, 1.0)
    baseline_sd: float = 0.10
    free_baseline_sd: float = 0.15
    loading_sd: float = 0.10
    dispersion_floor: float = 3e-4
    min_depth: float = 5.0
    absent_start: float = 4e-3
    gain_start: float = 1.5e-4
    divergent_start: float = 8e-3
    mixed_share: float = 0.15
    reset: float = 1e-6
    outlier: float = 1e-6
    gain_levels: tuple[float, ...] = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 17, 20, 25, 32, 40, 60, 90)
    mixed_levels: tuple[float, ...] = (1.35, 1.5, 1.65)
    divergent_levels: tuple[float, ...] = (0.42, 0.52, 0.62, 0.72, 0.81, 0.89)
    residual_levels: tuple[float, ...] = (0.12, 0.19, 0.26)
    stray_levels: tuple[float, ...] = (0.003, 0.012, 0.035, 0.08)
    stray_weights: tuple[float, ...] = (0.45, 0.30, 0.20, 0.05)
    diluted_two: float = 1.83
    shared_ends: bool = True
    relatives: bool = True
    relative_similarity: float = 0.78
    mixed_certainty: float = 0.8
