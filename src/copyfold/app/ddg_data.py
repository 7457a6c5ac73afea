"""Tables of measured mutations: import, check, split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from copyfold.core.console import Console
from copyfold.core.files import atomic_folder, check_vacant, file_digest, write_json, write_text
from copyfold.ddg.importers.checks import (
    Checked,
    Repeat,
    StructureKey,
    check_rows,
    find_repeats,
    scale_problem,
    structures_wanted,
)
from copyfold.ddg.importers.downloads import fetch, read_registry
from copyfold.ddg.importers.published import states_its_sign
from copyfold.ddg.importers.reading import ImportOptions, Reading, Refusal
from copyfold.ddg.importers.sources import SOURCES
from copyfold.ddg.splits import Homology, cluster_split, find_homology, random_split, related_to
from copyfold.ddg.structures import Structure, read_structure
from copyfold.ddg.table import FITNESS_LINE, read_comments_and_cells, read_table, to_numbers, write_table
from copyfold.errors import ConfigError, InputError

SPLIT_FORMAT = "copyfold-ddg-split/1"
_STRUCTURE_ENDINGS = (".pdb", ".ent", ".cif", ".mmcif")
_SHOWN = 10


def import_table(
    source: str, file: Path, out: Path, structures: Path | None, options: ImportOptions, console: Console
) -> None:
    """Read a source's file, check every row, and write the tidy table; refused rows and repeats are written beside.

    Raises
    ------
    CopyfoldError
        As the source's reader; also for an unknown source, an output that is an input, no row that holds, or values
        that cannot be what they are said to be.
    """
    if source not in SOURCES:
        raise ConfigError(f"source '{source}': unknown; `copyfold ddg data list` explains {', '.join(SOURCES)}")
    _check_output(out, file)
    reading = SOURCES[source].read(file, options)
    console.say(f"{file}: read as {source} ({reading.sign or SOURCES[source].sign})")
    checked = check_rows(reading, source, _read_structures(reading, structures, console))
    if checked.table.empty:
        first = f"; the first: row {checked.refused[0].row}: {checked.refused[0].reason}" if checked.refused else ""
        need = f"are its structures in {structures}" if structures else "does it need --structures"
        raise InputError(
            f"{file}: no row can be used ({len(checked.refused)} refused, {reading.n_other} passed over){first}; "
            f"is it a file for the source {source}, and {need}?"
        )
    _check_scale(file, source, checked.table)
    repeats = find_repeats(checked.table) if "ddg" in checked.table else []
    write_table(out, checked.table.reset_index(drop=True))
    _write_beside(out, "refused", ["row", "what", "reason"], checked.refused)
    _write_beside(out, "repeats", ["rows", "what", "kind", "ddg"], [_repeat_cells(one) for one in repeats])
    _report(out, reading, checked, repeats, console)


def verify_table(path: Path, structures: Path | None, console: Console) -> None:
    """Check every row of a tidy table against its sequence and, where given, its structure.

    Raises
    ------
    CopyfoldError
        Unreadable; or rows contradict their sequence or structure, which are then printed.
    """
    comments, cells = read_comments_and_cells(path)
    value = "score" if FITNESS_LINE in comments else "ddg"
    needed = ("protein", "chain", "position", "insertion_code", "wild_type", "mutant", value, "sequence")
    if missing := [name for name in (*needed, "sequence_position") if name not in cells]:
        raise InputError(f"{path}: no column {missing[0]}; make a tidy table with `copyfold ddg data import`")
    numbers = {name: to_numbers(cells[name], path) for name in (value, "ph", "temperature") if name in cells}
    positions = np.nan_to_num(to_numbers(cells["sequence_position"], path)).astype(np.int64)
    rows = cells.assign(**numbers, sequence_position=positions)
    reading = Reading(rows.assign(**{name: np.nan for name in ("ph", "temperature") if name not in rows}), [])
    checked = check_rows(reading, "verify", _read_structures(reading, structures, console))
    _report(path, reading, checked, find_repeats(checked.table) if value == "ddg" else [], console)
    for refusal in checked.refused:
        print(f"{refusal.row}\t{refusal.what}\t{refusal.reason}")
    if checked.refused:
        raise InputError(
            f"{path}: {len(checked.refused)} of {len(rows)} rows contradict their sequence or structure; "
            "delete or mend them"
        )
    if not any(line.startswith(f"# {value}:") for line in comments):
        read_table(path)  # says what the header lacks
    if value == "ddg" and (problem := scale_problem(numbers["ddg"])):
        console.warn(f"{path}: {problem}")


def describe_sources(folder: Path | None) -> str:
    """Every source: what it is, its sign, where it is published, and whether its download is in `folder`."""
    registry = read_registry()
    lines = []
    for name, source in SOURCES.items():
        lines += [f"{name}: {source.title}", f"    sign       {source.sign}"]
        lines += [
            f"    {label:<10} {text}"
            for label, text in (("reference", source.reference), ("columns", source.columns))
            if text
        ]
        if entry := registry.get(name):
            known = f"sha256 {entry.sha256}" if entry.sha256 else "checksum NOT verified"
            how = f"`copyfold ddg data download {name}` ({known})" if entry.file else "by hand"
            lines.append(f"    published  {entry.url}: {how}; {entry.note}")
            if folder and entry.file and (folder / entry.file).is_file():
                lines.append(f"    here       {folder / entry.file}")
    return "\n".join(lines) + "\n"


def download_source(source: str, folder: Path, console: Console) -> Path:
    """Fetch a source's file into `folder`.

    Raises
    ------
    CopyfoldError
        No such source, nothing to fetch, or no connection.
    """
    registry = read_registry()
    if source not in registry:
        raise ConfigError(f"source '{source}': no download is known; known are {', '.join(registry)}")
    entry = registry[source]
    path, digest = fetch(entry, folder)
    if entry.sha256 is None:
        console.warn(
            f"{path}: its checksum is not in the registry; it is {digest}; compare it before you rely on the file"
        )
    console.say(entry.note)
    return path


def split_table(
    path: Path,
    out: Path,
    *,
    by: Literal["homology", "random"],
    fractions: Sequence[float],
    identity: float,
    coverage: float,
    away_from: Sequence[Path],
    seed: int,
    console: Console,
) -> None:
    """Write a folder of train, validation and test tables with the evidence for the split.

    Raises
    ------
    CopyfoldError
        Unreadable tables, impossible fractions, an output that exists, or nothing left.
    """
    check_vacant(out)
    table = read_table(path)
    away = np.zeros(len(table), dtype=bool)
    if away_from:
        others = [sequence for other in away_from for sequence in read_table(other)["sequence"].unique()]
        distinct = table["sequence"].unique().tolist()
        console.say(f"comparing {len(distinct)} sequences with {len(others)} of {', '.join(map(str, away_from))}")
        related = related_to(distinct, others, identity, coverage)
        away = (
            table["sequence"]
            .isin({sequence for sequence, found in zip(distinct, related, strict=True) if found})
            .to_numpy()
        )
        if away.all():
            raise InputError(
                f"{path}: every protein is related to one of {', '.join(map(str, away_from))}; nothing is left"
            )
    kept = table[~away].reset_index(drop=True)
    homology = None
    if by == "homology":
        distinct = kept["sequence"].unique().tolist()
        console.say(f"clustering {len(distinct)} sequences: identity {identity:g}, coverage {coverage:g}")
        homology = find_homology(distinct, identity, coverage)
        cluster_of = dict(zip(distinct, homology.clusters.tolist(), strict=True))
        clusters = kept["sequence"].map(cluster_of).to_numpy()
        parts = cluster_split(clusters, fractions, seed=seed)
    else:
        clusters = np.full(len(kept), -1)
        parts = random_split(len(kept), fractions, seed=seed)
    with atomic_folder(out) as partial:
        for part in dict.fromkeys(parts.tolist()):
            write_table(partial / f"{part}.csv", kept[parts == part].reset_index(drop=True))
        if away.any():
            write_table(partial / "left_out.csv", table[away].reset_index(drop=True))
        if homology is not None:
            write_text(partial / "clusters.tsv", _cluster_table(kept, clusters, parts))
            write_text(partial / "pairs.tsv", _pair_table(kept, homology))
        counts = {part: int(np.sum(parts == part)) for part in ("train", "validation", "test") if (parts == part).any()}
        write_json(
            partial / "split.json",
            {
                "format": SPLIT_FORMAT,
                "table": path.name,
                "table_digest": file_digest(path),
                "by": by,
                "fractions": list(fractions),
                "identity": identity if homology or away_from else None,
                "coverage": coverage if homology or away_from else None,
                "seed": seed,
                "rows": counts,
                "n_clusters": int(clusters.max()) + 1 if homology else None,
                "away_from": [{"table": other.name, "digest": file_digest(other)} for other in away_from],
                "rows_left_out": int(away.sum()),
            },
        )
    said = ", ".join(f"{part} {n}" for part, n in counts.items())
    console.say(f"{out}: {said} rows" + (f"; {int(away.sum())} left out" if away_from else ""))
    if by == "random":
        console.warn(
            "a random split has the same proteins on both sides; what it measures is not prediction of new proteins"
        )


def _check_output(out: Path, *inputs: Path) -> None:
    if any(path.exists() and out.exists() and path.samefile(out) for path in inputs):
        raise ConfigError(f"--out {out}: is an input, too; choose another name")


def _check_scale(file: Path, source: str, table: pd.DataFrame) -> None:
    if "ddg" not in table or (source == "table" and states_its_sign(file)):
        return
    if problem := scale_problem(table["ddg"].to_numpy()):
        raise InputError(
            f"{file}: {problem}. If they are ΔΔG all the same, say so in the file: put the line "
            "'# ddg: kcal/mol, positive = destabilising' (or stabilising, or kJ/mol) on top and import it as `table`"
        )


def _read_structures(reading: Reading, folder: Path | None, console: Console) -> dict[StructureKey, Structure | str]:
    """Structure of each protein and chain that `folder` holds, or why it cannot be used."""
    if folder is None:
        return {}
    files = _structure_files(folder)
    wanted = [key for key in structures_wanted(reading) if key[0].lower() in files]
    found: dict[StructureKey, Structure | str] = {}
    with console.progress("structures", len(wanted)) as update:
        for done, (protein, chain) in enumerate(wanted, 1):
            try:
                found[protein, chain] = read_structure(files[protein.lower()], chain or None)
            except InputError as error:
                found[protein, chain] = str(error)
            update(done)
    return found


def _structure_files(folder: Path) -> dict[str, Path]:
    """Files of structures by name without endings, in lower case; ``pdb1abc.ent`` is 1abc."""
    if not folder.is_dir():
        raise InputError(f"--structures {folder}: no such folder; it must hold PDB or mmCIF files named by protein")
    found = {}
    for path in sorted(folder.iterdir()):
        name = path.name.lower().removesuffix(".gz")
        if name.endswith(_STRUCTURE_ENDINGS):
            stem, _, ending = name.rpartition(".")
            found[stem.removeprefix("pdb") if ending == "ent" else stem] = path
    if not found:
        raise InputError(
            f"--structures {folder}: holds no PDB or mmCIF file ({', '.join(_STRUCTURE_ENDINGS)}, or with .gz)"
        )
    return found


def _write_beside(out: Path, kind: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write ``NAME.KIND.tsv`` beside `out`, or take an older one away where there is nothing to say."""
    path = beside(out, kind)
    lines = ["\t".join(" ".join(str(cell).split()) for cell in row) for row in rows]
    if lines:
        write_text(path, "\n".join(["\t".join(columns), *lines]) + "\n")
    else:
        path.unlink(missing_ok=True)


def beside(out: Path, kind: str) -> Path:
    """The file of refused rows or repeats that goes with a table."""
    name = out.name.removesuffix(".gz")
    return out.with_name(f"{name.rsplit('.', 1)[0] if '.' in name else name}.{kind}.tsv")


def _repeat_cells(repeat: Repeat) -> tuple[str, ...]:
    rows, values = ",".join(map(str, repeat.rows)), ",".join(f"{value:g}" for value in repeat.values)
    return rows, repeat.what, repeat.kind, values


def _report(out: Path, reading: Reading, checked: Checked, repeats: Sequence[Repeat], console: Console) -> None:
    table = checked.table
    n_sequence = len(table) - checked.n_by_structure
    console.say(
        f"{out}: {len(table)} rows of {table['protein'].nunique()} proteins; wild types confirmed by structure in "
        f"{checked.n_by_structure}, by sequence only in {n_sequence}; {len(checked.refused)} refused, "
        f"{reading.n_other} passed over (no single substitution, or no value)"
    )
    if checked.refused:
        console.warn(f"rows refused: {len(checked.refused)}")
        for row, what, reason in checked.refused[:_SHOWN]:
            console.warn(" ".join(f"row {row}: {what}: {reason}".split()))
        if len(checked.refused) > _SHOWN:
            console.warn(f"  … and {len(checked.refused) - _SHOWN} more")
    kinds = {kind: sum(one.kind == kind for one in repeats) for kind in ("duplicate", "repeat", "conflict")}
    if repeats:
        console.warn(
            f"measured more than once: {kinds['duplicate']} mutations at the same conditions, {kinds['repeat']} at "
            f"others, {kinds['conflict']} with values that contradict each other (more than 1 kcal/mol apart, or of "
            "other sign)"
        )


def _cluster_table(table: pd.DataFrame, clusters: np.ndarray, parts: np.ndarray) -> str:
    proteins = table.assign(cluster=clusters, part=parts, length=table["sequence"].str.len())
    rows = (
        proteins.groupby(["cluster", "part", "protein", "chain", "length"], sort=True)
        .size()
        .rename("rows")
        .reset_index()
    )
    return rows.to_csv(sep="\t", index=False, lineterminator="\n")


def _pair_table(table: pd.DataFrame, homology: Homology) -> str:
    names = (table["protein"] + ":" + table["chain"]).groupby(table["sequence"], sort=False).first().tolist()
    lines = ["first\tsecond\tidentity\tcoverage\tlength\tscore\te_value\tlinked"]
    lines += [
        f"{names[pair.first]}\t{names[pair.second]}\t{pair.identity:.3f}\t{pair.coverage:.3f}\t{pair.length}\t"
        f"{pair.score}\t{pair.e_value:.2e}\t{int(pair.linked)}"
        for pair in homology.pairs
    ]
    return "\n".join(lines) + "\n"


def read_sequence(path: Path) -> tuple[str, str]:
    """Name and sequence of a FASTA file's only protein.

    Raises
    ------
    InputError
        Unreadable, or not one protein sequence.
    """
    try:
        records = [record for record in path.read_text(encoding="utf-8").split(">") if record.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give one protein sequence as FASTA") from None
    if len(records) != 1:
        raise InputError(f"{path}: holds {len(records)} sequences; give one protein sequence as FASTA")
    name, _, lines = records[0].partition("\n")
    sequence = "".join(lines.split()).upper().removesuffix("*")
    if not sequence.isalpha() or set(sequence) <= set("ACGTUN"):
        raise InputError(f"{path}: is not a protein sequence in one-letter codes; translate nucleotides first")
    return (name.split() or [path.stem])[0], sequence


__all__ = [
    "Refusal",
    "beside",
    "describe_sources",
    "download_source",
    "import_table",
    "read_sequence",
    "split_table",
    "verify_table",
]
