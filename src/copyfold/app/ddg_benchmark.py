"""``copyfold ddg benchmark``: the shipped model and published ones on the same rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from copyfold.app.ddg_sets import EncodedProtein, encode_structures, place_rows, read_set
from copyfold.core.console import Console
from copyfold.core.files import atomic_folder, write_json, write_text
from copyfold.ddg.evaluation import (
    Antisymmetry,
    Interval,
    antisymmetry,
    as_json,
    as_text,
    cluster_bootstrap,
    paired_bootstrap,
    per_protein,
)
from copyfold.ddg.features.proteinmpnn import WEIGHTS, StructureEncoder
from copyfold.ddg.predictor.calibration import error_terms
from copyfold.ddg.predictor.inputs import sequence_features
from copyfold.ddg.predictor.predictor import StabilityPredictor
from copyfold.ddg.predictor.seen import members_unaware_of, training_proteins
from copyfold.ddg.sequences import AMINO_ACIDS
from copyfold.errors import InputError
from copyfold.report.ddg.figures import write_comparison

BENCHMARK_FORMAT: Final = "copyfold-ddg-benchmark/1"
OURS: Final = "copyfold"
OURS_SEQUENCE: Final = "copyfold (sequence)"
ZERO_SHOT: Final = "ProteinMPNN zero-shot"
_SCORES: Final = ("ESM-IF_AF_delta", "ESM-IF_PDB_delta", "Pythia_AF", "KORPM", ZERO_SHOT)
"""Not in kcal/mol: of these only correlations mean something."""
_COPIED: Final = "SAAFEC-Seq"
_FEWEST_ROWS: Final = 50


@dataclass(frozen=True, eq=False)
class Benchmark:
    """Measured values with predictions of several methods.

    Attributes
    ----------
    name : str
    rows : pandas.DataFrame
        `ddg` (kcal/mol, positive = destabilising), `protein`, `cluster`.
    direct : dict of str to numpy.ndarray, (n,)
        By method; NaN where it predicts nothing.
    reverse : dict of str to numpy.ndarray, (n,)
        Of the reverse mutations.
    sigma : numpy.ndarray, (n,)
        Of our predictions, kcal/mol.
    factor_95 : float
    notes : tuple of str
        What a reader must know of the rows.
    """

    name: str
    rows: pd.DataFrame
    direct: dict[str, np.ndarray]
    reverse: dict[str, np.ndarray]
    sigma: np.ndarray
    factor_95: float
    notes: tuple[str, ...]


class Scorer:
    """Our predictions for rows of a set, each by members that never saw a relative of its protein."""

    def __init__(self, data: Path, encodings: Path, console: Console) -> None:
        self.predictor = StabilityPredictor.load()
        self.trained = training_proteins()
        self.data, self.encodings, self.console = data, encodings, console

    def encode(self, rows: pd.DataFrame) -> dict[str, EncodedProtein]:
        return encode_structures(self.data, rows, StructureEncoder(), self.encodings, self.console)

    def members(self, sequences: list[str]) -> dict[str, np.ndarray]:
        config = self.predictor.structure.model.config
        return members_unaware_of(sequences, self.trained, config.n_folds, config.n_members)

    def structure(self, rows: pd.DataFrame) -> pd.DataFrame:
        """ΔΔG, σ and zero-shot log-odds of each row: columns ddg, sigma, zero_shot; NaN where nothing is predicted."""
        proteins = self.encode(rows)
        places = place_rows(rows, proteins)
        members = self.members([one.sequence for one in proteins.values()])
        found = np.full((len(rows), 3), np.nan)
        model = self.predictor.structure
        for name in rows["structure"].unique():
            chosen = np.flatnonzero((rows["structure"] == name).to_numpy() & (places >= 0))
            if not len(chosen) or not len(members[proteins[name].sequence]):
                continue
            protein = proteins[name]
            encoded = protein.encoded
            potentials = model.potentials(encoded.features, encoded.log_odds, members[protein.sequence])
            wild, mutant = _letters(rows.iloc[chosen])
            ddg = potentials[places[chosen], mutant] - potentials[places[chosen], wild]
            terms = error_terms(ddg, potentials[places[chosen]].std(axis=1), len(protein.sequence))
            odds = encoded.log_odds[places[chosen], 2 * WEIGHTS.index("vanilla_020")]
            each = np.arange(len(chosen))
            found[chosen] = np.stack([ddg, model.errors.sigma(terms), odds[each, wild] - odds[each, mutant]], axis=1)
        return pd.DataFrame(found, columns=["ddg", "sigma", "zero_shot"])

    def sequence(self, rows: pd.DataFrame) -> np.ndarray:
        """ΔΔG of the sequence form, (n,)."""
        model = self.predictor.sequence
        config = model.model.config
        members = members_unaware_of(rows["sequence"].unique().tolist(), self.trained, config.n_folds, config.n_members)
        found = np.full(len(rows), np.nan)
        for sequence in rows["sequence"].unique():
            if len(members[sequence]):
                chosen = np.flatnonzero((rows["sequence"] == sequence).to_numpy())
                features = sequence_features(sequence)
                potentials = model.potentials(features, np.zeros((len(features), 0, 20)), members[sequence])
                wild, mutant = _letters(rows.iloc[chosen])
                places = rows["seq_position"].to_numpy(int)[chosen] - 1
                found[chosen] = potentials[places, mutant] - potentials[places, wild]
        return found


def _letters(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    index = {letter: number for number, letter in enumerate(AMINO_ACIDS)}
    return rows["wild_type"].map(index).to_numpy(int), rows["mutant"].map(index).to_numpy(int)


def _read_peers(data: Path, name: str) -> pd.DataFrame:
    path = Path(data) / "peers" / name
    if not path.exists():
        raise InputError(f"{path}: no such file; --data names a folder that holds sets/, structures/ and peers/")
    return pd.read_csv(path)


def _s669(scorer: Scorer) -> Benchmark:
    rows = read_set(scorer.data, "s669")
    ours = scorer.structure(rows)
    peers = _read_peers(scorer.data, "s669_peer_predictions.csv.gz")
    if not (peers["row"].to_numpy() == rows["row"].to_numpy()).all():
        raise InputError("s669_peer_predictions.csv.gz: its rows are not those of s669.csv.gz; restore the data folder")
    ddg = ours["ddg"].to_numpy()
    sequence = scorer.sequence(rows)
    direct = {OURS: ddg, OURS_SEQUENCE: sequence, ZERO_SHOT: ours["zero_shot"].to_numpy()}
    reverse = {OURS: -ddg, OURS_SEQUENCE: -sequence}
    for column in peers.columns:
        method = column.removesuffix("_dir")
        if column.endswith("_dir") and method != _COPIED:
            direct[method] = peers[column].to_numpy()
            if f"{method}_inv" in peers:
                reverse[method] = peers[f"{method}_inv"].to_numpy()
    rows["cluster"] = rows["cluster25"]
    return Benchmark("s669", rows, direct, reverse, ours["sigma"].to_numpy(), _factor(scorer), _notes_of_s669(ddg))


def _notes_of_s669(ddg: np.ndarray) -> tuple[str, ...]:
    """What a reader must know of S669 or a part of it; `ddg` is ours, NaN where nothing is predicted."""
    return (
        f"{int(np.isnan(ddg).sum())} of {len(ddg)} rows have no residue in a structure of the data folder",
        "reverse mutations of copyfold are exact mirrors: both are read off the wild type's structure",
        "SAAFEC-Seq's direct column is a copy of I-Mutant3.0's in the published table and is left out",
        "ESM-IF, Pythia, KORPM and zero-shot are scores, not kcal/mol: their RMSE and MAE say nothing",
    )


def _s461(scorer: Scorer) -> Benchmark:
    whole = _s669(scorer)
    chosen = whole.rows["in_s461"].to_numpy() == 1
    rows = whole.rows[chosen].reset_index(drop=True)
    rows["ddg"] = rows["ddg_s461_corrected"]
    direct = {name: values[chosen] for name, values in whole.direct.items()}
    reverse = {name: values[chosen] for name, values in whole.reverse.items()}
    corrected = "measured values as corrected in the S461 subset (40 of them differ from S669's)"
    notes = (*_notes_of_s669(direct[OURS]), corrected)
    return Benchmark("s461", rows, direct, reverse, whole.sigma[chosen], whole.factor_95, notes)


def _ssym(scorer: Scorer) -> Benchmark:
    both = read_set(scorer.data, "ssym")
    both["cluster"] = both["protein"]
    forth = both[both["direction"] == "direct"].sort_values("pair").reset_index(drop=True)
    back = both[both["direction"] == "inverse"].sort_values("pair").reset_index(drop=True)
    ours, ours_back = scorer.structure(forth), scorer.structure(back)
    direct, reverse = {OURS: ours["ddg"].to_numpy()}, {OURS: ours_back["ddg"].to_numpy()}
    direct[ZERO_SHOT], reverse[ZERO_SHOT] = ours["zero_shot"].to_numpy(), ours_back["zero_shot"].to_numpy()
    peers = _read_peers(scorer.data, "ssymplus_peer_predictions.csv.gz")
    peers = peers[peers["in_ssym342"] == 1].copy()
    peers["key"] = peers["pdb_id"].str.lower() + "_" + peers["Mut_pdb"]
    peers = peers.drop_duplicates("key").set_index("key")
    keys = forth["pdb_id"].str.lower() + "_" + forth["wild_type"] + forth["position"] + forth["mutant"]
    for column in peers.columns:
        method = column.removesuffix("_dir")
        if column.endswith("_dir") and method.upper() != _COPIED.upper():
            direct[method] = peers[column].reindex(keys).to_numpy()
            reverse[method] = peers[f"{method}_inv"].reindex(keys).to_numpy()
    notes = (
        "copyfold: each protein by the members of the ensemble that never saw it or a relative; reverse mutations from "
        "the mutant's own crystal structure",
        f"{int(np.isnan(direct[OURS]).sum())} of {len(forth)} pairs have no such member or no residue in the structure",
        "most published methods were trained on these very rows (194 of them stand in S2648)",
    )
    return Benchmark("ssym", forth, direct, reverse, ours["sigma"].to_numpy(), _factor(scorer), notes)


def _megascale(scorer: Scorer) -> Benchmark:
    rows = read_set(scorer.data, "megascale")
    rows = rows[~rows["structure"].isin(scorer.trained["structure"])].reset_index(drop=True)
    ours = scorer.structure(rows)
    kept = ours["ddg"].notna().to_numpy()
    rows, ours = rows[kept].reset_index(drop=True), ours[kept].reset_index(drop=True)
    rows["cluster"] = rows["protein"]
    direct = {
        OURS: ours["ddg"].to_numpy(),
        OURS_SEQUENCE: scorer.sequence(rows),
        ZERO_SHOT: ours["zero_shot"].to_numpy(),
    }
    notes = (
        f"{rows['protein'].nunique()} mega-scale domains that stand in no training set",
        "zero-shot is a score, not kcal/mol",
    )
    return Benchmark("megascale", rows, direct, {}, ours["sigma"].to_numpy(), _factor(scorer), notes)


def _factor(scorer: Scorer) -> float:
    return scorer.predictor.structure.errors.factor_95


BENCHMARKS: Final[dict[str, Callable[[Scorer], Benchmark]]] = {
    "s669": _s669,
    "s461": _s461,
    "ssym": _ssym,
    "megascale": _megascale,
}


def run_benchmark(name: str, data: Path, out: Path, encodings: Path, console: Console) -> str:
    """Score one benchmark; write benchmark.json, benchmark.txt, benchmark.svg, benchmark.png, predictions.csv.

    Returns
    -------
    str
        The text.

    Raises
    ------
    InputError
        Unknown name, or the data folder lacks something.
    RunError
        `out` holds something already.
    """
    if name not in BENCHMARKS:
        raise InputError(f"benchmark '{name}': must be one of {', '.join(BENCHMARKS)}, proteingym")
    with atomic_folder(out) as folder:
        found = BENCHMARKS[name](Scorer(Path(data), Path(encodings), console))
        console.say("resampling proteins")
        result, text = evaluate(found)
        write_json(folder / "benchmark.json", result)
        write_text(folder / "benchmark.txt", text)
        table = found.rows[["protein", "position", "wild_type", "mutant", "ddg"]].assign(
            **found.direct, sigma=found.sigma
        )
        write_text(folder / "predictions.csv", table.to_csv(index=False, float_format="%.4f"))
        quantity = "Pearson's r with measured ΔΔG (95 % interval over clusters of proteins)"
        correlations = {m: one["direct"]["pearson"] for m, one in result["methods"].items()}
        write_comparison(correlations, quantity, found.name, folder)
    return text


def evaluate(benchmark: Benchmark) -> tuple[dict[str, Any], str]:
    """Metrics of every method with intervals over clusters, and their differences to ours on common rows."""
    true, clusters = benchmark.rows["ddg"].to_numpy(float), benchmark.rows["cluster"].to_numpy()
    proteins = benchmark.rows["protein"].to_numpy()
    ours = benchmark.direct[OURS]
    methods: dict[str, Any] = {}
    shown = {}
    for method, values in benchmark.direct.items():
        known = np.isfinite(values)
        if known.sum() < _FEWEST_ROWS:
            continue
        intervals = cluster_bootstrap(true[known], values[known], clusters[known])
        within = per_protein(true[known], values[known], proteins[known])
        one: dict[str, Any] = {
            "n": int(known.sum()),
            "direct": as_json(intervals),
            "mean_protein_spearman": as_json(within.means["spearman"]),
        }
        mirrored = _mirrored(benchmark, method, known)
        if mirrored is not None:
            one["reverse"], one["antisymmetry"] = mirrored
        common = known & np.isfinite(ours)
        if method != OURS and common.sum() >= _FEWEST_ROWS:
            one["copyfold_minus_this"] = {
                "n": int(common.sum()),
                **as_json(paired_bootstrap(true[common], ours[common], values[common], clusters[common])),
            }
        methods[method] = one
        shown[f"{method} (n={known.sum()})"] = _of_score(intervals) if method in _SCORES else intervals
    covered = _coverage(benchmark)
    result = {
        "format": BENCHMARK_FORMAT,
        "benchmark": benchmark.name,
        "unit": "kcal/mol, positive = destabilising",
        "notes": list(benchmark.notes),
        "coverage": covered,
        "methods": methods,
    }
    return result, _text(benchmark, shown, methods, covered)


def _of_score(intervals: dict[str, Interval]) -> dict[str, Interval]:
    """Without what needs kcal/mol."""
    nothing = Interval(math.nan, math.nan, math.nan, 0)
    return {name: nothing if name in ("rmse", "mae") else one for name, one in intervals.items()}


def _mirrored(benchmark: Benchmark, method: str, known: np.ndarray) -> tuple[Any, Any] | None:
    """Metrics of reverse mutations and antisymmetry, where the method gives them."""
    back = benchmark.reverse.get(method)
    if back is None:
        return None
    both = known & np.isfinite(back)
    if both.sum() < _FEWEST_ROWS:
        return None
    true, clusters = -benchmark.rows["ddg"].to_numpy(float), benchmark.rows["cluster"].to_numpy()
    found: Antisymmetry = antisymmetry(benchmark.direct[method][both], back[both])
    return as_json(cluster_bootstrap(true[both], back[both], clusters[both])), as_json(found)


def _coverage(benchmark: Benchmark) -> dict[str, float]:
    ours = benchmark.direct[OURS]
    known = np.isfinite(ours)
    ratio = np.abs(ours - benchmark.rows["ddg"].to_numpy(float))[known] / benchmark.sigma[known]
    return {
        "within_68": float(np.mean(ratio <= 1)),
        "within_95": float(np.mean(ratio <= benchmark.factor_95)),
        "mean_sigma": float(benchmark.sigma[known].mean()),
    }


def _text(benchmark: Benchmark, shown: Any, methods: dict[str, Any], covered: dict[str, float]) -> str:
    lines = [f"{benchmark.name}: direct mutations, 95 % intervals by resampling clusters of proteins", as_text(shown)]
    mirrored = [(name, one) for name, one in methods.items() if "antisymmetry" in one]
    if mirrored:
        lines.append("reverse mutations: r, RMSE; antisymmetry: r of direct and reverse, bias (kcal/mol)")
        lines += [
            f"  {name}: r {one['reverse']['pearson']['value']:.3f}, RMSE {one['reverse']['rmse']['value']:.3f}; "
            f"{one['antisymmetry']['r']:.3f}, {one['antisymmetry']['bias']:+.3f}"
            for name, one in mirrored
        ]
        lines.append("")
    lines.append("mean of Spearman's correlation over proteins with at least 5 mutations")
    lines += [
        f"  {name}: {one['mean_protein_spearman']:.3f}"
        for name, one in methods.items()
        if one["mean_protein_spearman"] is not None
    ]
    lines.append("")
    lines.append("copyfold minus the method on common rows: Pearson's r [95 % interval], p")
    for name, one in methods.items():
        if "copyfold_minus_this" in one:
            gap = one["copyfold_minus_this"]["pearson"]
            lines.append(
                f"  {name}: {gap['value']:+.3f} [{gap['low']:+.3f}, {gap['high']:+.3f}], p {gap['p_value']:.3f} "
                f"(n={one['copyfold_minus_this']['n']})"
            )
    lines.append("")
    lines.append(
        f"copyfold's intervals cover {100 * covered['within_68']:.1f} % (68 %) and {100 * covered['within_95']:.1f} % "
        f"(95 %); mean σ {covered['mean_sigma']:.2f} kcal/mol"
    )
    return "\n".join([*lines, "", *(f"note: {note}" for note in benchmark.notes)]) + "\n"
