"""``copyfold ddg benchmark proteingym``: a scan of TEM-1 β-lactamase against four deep mutational scans."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from copyfold.app.ddg_benchmark import OURS, ZERO_SHOT, Scorer
from copyfold.core.console import Console
from copyfold.core.files import atomic_folder, write_json, write_text
from copyfold.core.seeding import DEFAULT_SEED, derive_generator
from copyfold.ddg.features.proteinmpnn import WEIGHTS
from copyfold.ddg.predictor.numbering import places_in
from copyfold.ddg.sequences import AMINO_ACIDS, encode_sequence
from copyfold.ddg.structures import read_structure
from copyfold.errors import InputError
from copyfold.report.ddg.figures import write_comparison

DMS_BENCHMARK_FORMAT: Final = "copyfold-ddg-dms-benchmark/1"
ASSAYS: Final = (
    "BLAT_ECOLX_Deng_2012",
    "BLAT_ECOLX_Firnberg_2014",
    "BLAT_ECOLX_Jacquier_2013",
    "BLAT_ECOLX_Stiffler_2015",
)
PROFILE: Final = "site-independent MSA"
_STRUCTURE: Final = "1zg4.pdb.gz"
_FAMILY: Final = "msas/beta_lactamase_PF13354"
_PSEUDOCOUNT: Final = 1.0
_REPLICATES: Final = 1000


def run_dms_benchmark(data: Path, out: Path, encodings: Path, console: Console) -> str:
    """As `copyfold.app.ddg_benchmark.run_benchmark`, of the scan of TEM-1 against its assays."""
    data = Path(data)
    with atomic_folder(out) as folder:
        scorer = Scorer(data, encodings, console)
        stated, tables = _substitution_scores(scorer)
        rows, results = [], {}
        for assay in ASSAYS:
            table = _read_assay(data, assay, stated, tables)
            results[assay] = _compare(table, tuple(tables))
            rows.append(table.assign(assay=assay))
        text = _text(results)
        write_json(
            folder / "benchmark.json",
            {"format": DMS_BENCHMARK_FORMAT, "benchmark": "proteingym", "notes": _NOTES, "assays": results},
        )
        write_text(folder / "benchmark.txt", text)
        write_text(folder / "predictions.csv", pd.concat(rows).to_csv(index=False, float_format="%.4f"))
        flat = {
            f"{method}, {assay.removeprefix('BLAT_ECOLX_')}": one["spearman"]
            for assay, result in results.items()
            for method, one in result["methods"].items()
        }
        write_comparison(flat, "Spearman's ρ with fitness (95 % interval over positions)", "TEM-1 β-lactamase", folder)
    return text


_NOTES: Final = [
    "fitness is growth under an antibiotic: stability is one of its causes; scores are minus ΔΔG, and log-odds",
    "by members of the ensemble that never saw a β-lactamase; structure 1zg4; positions of the mature enzyme",
    "all methods on the rows that the family's alignment covers; n_structure counts the rows of the whole structure",
    "intervals by resampling positions",
]


def _substitution_scores(scorer: Scorer) -> tuple[str, dict[str, np.ndarray]]:
    """The enzyme's whole sequence, and scores (n, 20) by method, higher = fitter; NaN where there is none."""
    rows = pd.DataFrame({"structure": [_STRUCTURE], "chain": ["A"]})
    protein = scorer.encode(rows)[_STRUCTURE]
    stated = read_structure(scorer.data / "structures" / _STRUCTURE, "A").seqres
    if stated is None:
        raise InputError(f"{_STRUCTURE}: states no SEQRES; restore the data folder")
    members = scorer.members([protein.sequence])[protein.sequence]
    if not len(members):
        raise InputError("every member of the shipped ensemble was trained on a β-lactamase; retrain without them")
    encoded = protein.encoded
    potentials = scorer.predictor.structure.potentials(encoded.features, encoded.log_odds, members)
    places = places_in(stated, protein.sequence)
    of_structure = {OURS: -potentials, ZERO_SHOT: encoded.log_odds[:, 2 * WEIGHTS.index("vanilla_020")]}
    found = {}
    for method, values in of_structure.items():
        whole = np.full((len(stated), 20), np.nan)
        whole[places >= 0] = values[places[places >= 0]]
        found[method] = whole
    found[PROFILE] = family_log_frequencies(scorer.data / _FAMILY, stated)
    return stated, found


def family_log_frequencies(folder: Path, sequence: str) -> np.ndarray:
    """Log frequency of each amino acid in the family's column of each residue, (n, 20); NaN outside the alignment."""
    (query,) = _records(folder / "TEM1_pfam.fasta")
    letters = np.array([list(row) for row in _records(folder / "PF13354_noinsert_max19gaps_nodupl_noclose.fasta.gz")])
    counts = np.stack([(letters == letter).sum(axis=0) for letter in AMINO_ACIDS], axis=1) + _PSEUDOCOUNT
    columns = np.flatnonzero(np.array(list(query)) != "-")
    places = places_in(query.replace("-", ""), sequence)
    found = np.full((len(sequence), 20), np.nan)
    found[places[places >= 0]] = np.log(counts / counts.sum(axis=1, keepdims=True))[columns[places >= 0]]
    return found


def _records(path: Path) -> list[str]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); --data names the data folder") from None
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    return ["".join(record.splitlines()[1:]) for record in text.split(">")[1:]]


def _read_assay(data: Path, assay: str, stated: str, scores: dict[str, np.ndarray]) -> pd.DataFrame:
    """Single substitutions whose wild type the structure's sequence has, with each method's score."""
    path = data / "proteingym" / f"{assay}.csv.gz"
    if not path.exists():
        raise InputError(f"{path}: no such file; --data names a folder that holds proteingym/")
    table = pd.read_csv(path)
    table = table[~table["mutant"].str.contains(":")]
    place = table["mutant"].str[1:-1].astype(int).to_numpy() - 1
    same = np.array(
        [index < len(stated) and stated[index] == text[0] for index, text in zip(place, table["mutant"], strict=True)]
    )
    table, place = table[same].reset_index(drop=True), place[same]
    wild, mutant = (encode_sequence("".join(table["mutant"].str[end])).astype(int) for end in (0, -1))
    found = {method: values[place, mutant] - values[place, wild] for method, values in scores.items()}
    return pd.DataFrame({"mutant": table["mutant"], "position": place + 1, "fitness": table["DMS_score"], **found})


def _compare(table: pd.DataFrame, methods: tuple[str, ...]) -> dict[str, Any]:
    covered = table[np.isfinite(table[list(methods)]).all(axis=1)]
    groups = list(covered.groupby("position").indices.values())
    rng = derive_generator(DEFAULT_SEED, "bootstrap", "dms")
    drawn = [
        np.concatenate([groups[one] for one in rng.integers(len(groups), size=len(groups))]) for _ in range(_REPLICATES)
    ]
    fitness = covered["fitness"].to_numpy()
    found = {}
    for method in methods:
        values = covered[method].to_numpy()
        samples = [spearmanr(fitness[rows], values[rows])[0] for rows in drawn]
        low, high = np.percentile(samples, [2.5, 97.5])
        found[method] = {
            "spearman": {"value": float(spearmanr(fitness, values)[0]), "low": float(low), "high": float(high)}
        }
    placed = table[np.isfinite(table[OURS])]
    return {
        "n": len(covered),
        "methods": found,
        "n_structure": len(placed),
        "spearman_structure": float(spearmanr(placed["fitness"], placed[OURS])[0]),
        "spearman_structure_zero_shot": float(spearmanr(placed["fitness"], placed[ZERO_SHOT])[0]),
    }


def _text(results: dict[str, Any]) -> str:
    lines = ["TEM-1 β-lactamase: Spearman's ρ with fitness, 95 % intervals by resampling positions"]
    for assay, result in results.items():
        lines.append(f"{assay} (n={result['n']})")
        for method, one in result["methods"].items():
            rho = one["spearman"]
            lines.append(f"  {method}: {rho['value']:.3f} [{rho['low']:.3f}, {rho['high']:.3f}]")
        lines.append(
            f"  whole structure (n={result['n_structure']}): {OURS} {result['spearman_structure']:.3f}, "
            f"{ZERO_SHOT} {result['spearman_structure_zero_shot']:.3f}"
        )
    return "\n".join([*lines, "", *(f"note: {note}" for note in _NOTES)]) + "\n"
