"""The folder of a cohort: what is asked of it, checked before any work and written down for the workflow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from copyfold.cnv.config import CnvConfig
from copyfold.cnv.coordinates import find_gene_bins, flank_bins, read_gene_table
from copyfold.cnv.counting.sample_file import COUNTS_ENDING, QUALITY_ENDING, read_quality
from copyfold.cnv.reference import Reference, read_reference
from copyfold.cnv.sample_sheet import SampleSheet, format_sample_sheet, read_sample_sheet
from copyfold.cnv.store import Contigs
from copyfold.core.config import build_config, load_config, override_values, read_yaml_mapping
from copyfold.core.console import Console
from copyfold.core.files import read_json, write_json, write_text
from copyfold.errors import ConfigError, CopyfoldError, InputError, RunError

COHORT_FORMAT = "copyfold-cohort/1"
_OURS = ("store_path", "plasmid_store_path", "out_dir")
_MODULES = ("architecture", "hmm", "cnv", "evaluation")
_PREPARED = ("cohort.json", "samples.tsv", "settings.json")


@dataclass(frozen=True)
class CohortFolder:
    """Where everything of a cohort lies.

    Attributes
    ----------
    path : Path
    """

    path: Path

    @property
    def sheet(self) -> Path:
        """The sheet as the workflow reads it, with absolute paths."""
        return self.path / "samples.tsv"

    @property
    def run(self) -> Path:
        """Folder of the run."""
        return self.path / "run"

    def counts(self, sample: str) -> Path:
        """Counts file of a sample; absent where it was refused."""
        return self.path / "counts" / f"{sample}{COUNTS_ENDING}"

    def quality(self, sample: str) -> Path:
        """Quality record of a sample; with it the sample is done."""
        return self.path / "counts" / f"{sample}{QUALITY_ENDING}"

    def step(self, name: str) -> Path:
        """What tells that a step is done, and on what."""
        return self.path / ".steps" / f"{name}.json"

    def read_sheet(self) -> SampleSheet:
        """The prepared sheet."""
        self.record()
        return read_sample_sheet(self.sheet)

    def record(self) -> dict[str, Any]:
        """Contents of cohort.json.

        Raises
        ------
        RunError
            The folder is not a cohort's.
        """
        if not (self.path / "cohort.json").is_file():
            raise RunError(f"{self.path}: not a cohort's folder (no cohort.json); `copyfold cnv cohort` makes one")
        record = read_json(self.path / "cohort.json")
        if not isinstance(record, dict) or record.get("format") != COHORT_FORMAT:
            raise RunError(f"{self.path / 'cohort.json'}: not of format {COHORT_FORMAT}; choose another --out")
        return record

    def settings(self) -> dict[str, Any]:
        """Contents of settings.json."""
        settings = read_json(self.path / "settings.json")
        if not isinstance(settings, dict) or not isinstance(settings.get("config"), dict):
            raise RunError(f"{self.path / 'settings.json'}: damaged; run `copyfold cnv cohort` again")
        return settings


@dataclass(frozen=True)
class Plan:
    """A cohort that has been checked.

    Attributes
    ----------
    folder : CohortFolder
    sheet : SampleSheet
    texts : dict of str to str or dict
        Contents of the prepared files, by name.
    outdated : tuple of (str, str)
        Samples to count again, and why.
    """

    folder: CohortFolder
    sheet: SampleSheet
    texts: dict[str, Any]
    outdated: tuple[tuple[str, str], ...]

    def is_written(self) -> bool:
        """Whether the folder holds just this."""
        try:
            return all(_same(self.folder.path / name, content) for name, content in self.texts.items())
        except CopyfoldError:
            return False

    def write(self, folder: Path, unlike: Path | None = None) -> None:
        """Write the prepared files; those that would not change, or are the same in `unlike`, are left as they are."""
        for name in (*_PREPARED[1:], _PREPARED[0]):
            content = self.texts[name]
            known = unlike is not None and name != _PREPARED[0] and _same(unlike / name, content)
            if not known and not _same(folder / name, content):
                (write_text if isinstance(content, str) else write_json)(folder / name, content)

    def drop_outdated(self, console: Console) -> None:
        """Delete the counts of samples that are to be counted again."""
        for sample, reason in self.outdated:
            console.say(f"{sample}: {reason}, counted again")
            self.folder.quality(sample).unlink(missing_ok=True)
            self.folder.counts(sample).unlink(missing_ok=True)


def _same(path: Path, content: Any) -> bool:
    if not path.exists():
        return False
    return path.read_text(encoding="utf-8") == content if isinstance(content, str) else read_json(path) == content


def prepare_cohort(sheet: Path, reference: Path, out: Path, console: Console) -> None:
    """Check and write everything: for those who start Snakemake themselves."""
    plan = plan_cohort(sheet, reference, out, None, (), console)
    plan.drop_outdated(console)
    plan.write(out)


def plan_cohort(
    sheet_path: Path, reference_path: Path, out: Path, config: Path | None, overrides: Sequence[str], console: Console
) -> Plan:
    """Check sheet, reference and configuration, and that `out` is theirs; writes nothing.

    Raises
    ------
    CopyfoldError
        The first thing that is wrong.
    """
    folder = CohortFolder(out)
    sheet = read_sample_sheet(sheet_path)
    for column in sheet.ignored:
        console.warn(f"{sheet_path}: column '{column}' is not used")
    if any(not each.is_aligned for each in sheet.samples) and find_spec("mappy") is None:
        raise ConfigError("mappy is not installed, and FASTQ needs the extra `align`: pip install 'copyfold[align]'")
    reference = read_reference(reference_path)
    digest = reference.digest
    _check_owner(folder, reference_path, digest)
    texts: dict[str, Any] = {
        "cohort.json": {
            "format": COHORT_FORMAT,
            "sheet": str(sheet_path.resolve()),
            "reference": str(reference_path.resolve()),
            "reference_digest": digest,
        },
        "samples.tsv": format_sample_sheet(sheet),
        "settings.json": _settings(reference, out.resolve(), config, overrides),
    }
    return Plan(folder, sheet, texts, tuple(_outdated(folder, sheet)))


def _check_owner(folder: CohortFolder, reference: Path, digest: str) -> None:
    path = folder.path
    if path.exists() and not path.is_dir():
        raise RunError(f"{path}: is a file; choose a folder with --out")
    if (path / "cohort.json").exists():
        if folder.record().get("reference_digest") != digest:
            raise RunError(
                f"{path}: its samples were counted on another reference ({folder.record().get('reference')}) than "
                f"{reference}; counts do not mix, choose another --out"
            )
    elif path.is_dir() and any(item.name[0] != "." and item.name != "logs" for item in path.iterdir()):
        raise RunError(f"{path}: holds other things and no cohort; choose a new folder with --out")


def _outdated(folder: CohortFolder, sheet: SampleSheet) -> Iterator[tuple[str, str]]:
    """Samples whose line names other files than before, and refused ones whose files have changed since."""
    try:
        earlier = {each.sample: each for each in folder.read_sheet().samples}
    except CopyfoldError:
        return
    for each in sheet.samples:
        quality = folder.quality(each.sample)
        if each.sample not in earlier or not quality.exists():
            continue
        if [path.name for path in each.reads] != [path.name for path in earlier[each.sample].reads]:
            yield each.sample, "the sheet names other files"
        elif not folder.counts(each.sample).exists() and each.missing is None:
            try:
                reason = " ".join(map(str, read_quality(quality)["flags"]))
            except InputError:
                reason = "no such file"
            refused = quality.stat().st_mtime
            if "no such file" in reason or any(path.stat().st_ctime > refused for path in each.reads):
                yield each.sample, "was refused, and its files have changed"


def _settings(reference: Reference, out: Path, config: Path | None, overrides: Sequence[str]) -> dict[str, Any]:
    """What the user wants of training and calling, checked as far as can be before there are counts."""
    given = {override.partition("=")[0].strip() for override in overrides}
    given |= set(read_yaml_mapping(config)) if config is not None else set()
    for key in _OURS:
        if key in given:
            raise ConfigError(f"key '{key}' is the workflow's own here (below --out); leave it out")
    roles = {gene.role for gene in reference.genes}
    with TemporaryDirectory() as stand_in:  # there is no store yet, and the configuration wants one
        full = [*overrides, f"store_path={stand_in}", f"out_dir={_quoted(out / 'run')}"]
        genes = reference.path.resolve() / "genes.tsv"
        for key, role in (("gene_coords_path", "chromosome"), ("plasmid_gene_coords_path", "plasmid")):
            if key not in given and role in roles:
                full.append(f"{key}={_quoted(genes)}")
        if "bins_path" not in given:
            full.append(f"bins_path={_quoted(reference.path.resolve())}")
        preset = read_yaml_mapping(Path(str(files("copyfold") / "presets" / "cnv.yaml")))
        full += [f'{kind}="{preset[kind]}"' for kind in _MODULES if kind not in given]
        if config is not None:
            built = load_config(CnvConfig, config, full)
        else:
            built = build_config(CnvConfig, override_values(CnvConfig, {}, full), "--set")
    _check_genes(reference, built)
    if modules := [kind for kind in _MODULES if kind in given]:
        from copyfold.cnv.plugins import REGISTRIES
        from copyfold.core.registry import find_modules_in

        find_modules_in(Path.cwd() if config is None else config.parent)
        for kind in modules:
            REGISTRIES[kind].resolve(getattr(built, kind))
    wanted = built.model_fields_set - set(_OURS)
    return {
        "config": {key: value for key, value in built.model_dump(mode="json").items() if key in wanted},
        "plasmids": "plasmid" in roles,
        "modules_folder": str((Path.cwd() if config is None else config.parent).resolve()) if modules else None,
    }


def _quoted(path: Path) -> str:
    return str(yaml.safe_dump(str(path), default_style='"', width=10**6)).strip()


def _check_genes(reference: Reference, config: CnvConfig) -> None:
    if config.gene_coords_path is None:
        raise InputError(
            f"{reference.path}: has no gene on its chromosome, and a run calls at least one; build it with --genes, or "
            "give --set gene_coords_path=TABLE"
        )
    chosen = reference.kinds == "chromosome"
    bins = Contigs(reference.bins.chrom[chosen], reference.bins.start[chosen], reference.bins.end[chosen])
    for gene in read_gene_table(config.gene_coords_path, "chromosome"):
        flank_bins(gene, find_gene_bins(gene, bins), bins, config.cnv_flank_padding)
    if config.plasmid_gene_coords_path is not None:
        read_gene_table(config.plasmid_gene_coords_path, "plasmid")
