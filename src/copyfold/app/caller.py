"""Copy number from Python: an object that is fitted to a cohort and calls isolates, in the manner of scikit-learn."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from copyfold.app.cnv_run import call_new, train_run
from copyfold.cnv.call_tables import read_calls
from copyfold.cnv.config import CnvConfig
from copyfold.cnv.segments_file import read_segments
from copyfold.cnv.store import Store
from copyfold.core.config import read_yaml_mapping
from copyfold.core.console import Console
from copyfold.core.files import write_text
from copyfold.errors import ConfigError, RunError

_GIVEN_BY_FIT = ("store_path", "plasmid_store_path", "out_dir")


class CopyNumbers(NamedTuple):
    """Calls of some isolates.

    Attributes
    ----------
    genes : pandas.DataFrame
        ``gene_calls.tsv``, as docs/formats/run.md says.
    plasmid_genes : pandas.DataFrame or None
        ``plasmid_gene_calls.tsv``; None without a plasmid store.
    segments : pandas.DataFrame
        ``segments.parquet``.
    folder : Path
        The run that holds these files and others.
    """

    genes: pd.DataFrame
    plasmid_genes: pd.DataFrame | None
    segments: pd.DataFrame
    folder: Path


class CopyNumberCaller:
    """Fits a cohort and calls its isolates or others, with the same results as the command line.

    Parameters
    ----------
    folder : Path, optional
        Where runs are kept: ``fit`` under it, and each call beside it under ``calls1``, ``calls2``, …. Default: a
        temporary folder that goes with the object.
    device : str
        ``auto``, ``cpu``, ``cuda[:N]`` or ``mps``.
    quiet : bool
        Say nothing but warnings.
    **keys
        Keys of the configuration (docs/formats/config.md) besides stores and ``out_dir``; others are those of the
        preset ``cnv``. Paths are taken from the working folder.

    Attributes
    ----------
    run_ : Path
        Folder of the fitted run.

    Raises
    ------
    ConfigError
        A key that does not exist, or is given by `fit`. Values are checked when fitting.

    Examples
    --------
    >>> caller = CopyNumberCaller(architecture="pca_baseline", gene_coords_path="genes.tsv")
    >>> calls = caller.fit("cohort/chromosome", "cohort/plasmid").call("new/chromosome")  # doctest: +SKIP
    >>> calls.genes["blaSHV"]  # doctest: +SKIP
    """

    run_: Path

    def __init__(
        self, *, folder: Path | str | None = None, device: str = "auto", quiet: bool = True, **keys: Any
    ) -> None:
        for key in keys:
            if key in _GIVEN_BY_FIT or key not in CnvConfig.model_fields:
                way_out = "give it to fit()" if key in _GIVEN_BY_FIT else "`copyfold config schema` lists the keys"
                raise ConfigError(f"CopyNumberCaller({key}=…): {way_out}")
        self.keys, self.device, self.quiet = keys, device, quiet
        self.folder = Path(tempfile.mkdtemp(prefix="copyfold-") if folder is None else folder).resolve()
        if folder is None:
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The keys given, with device and quiet, as scikit-learn asks for them."""
        return {"device": self.device, "quiet": self.quiet, **self.keys}

    def fit(self, store: Path | str | Store, plasmid_store: Path | str | Store | None = None) -> CopyNumberCaller:
        """Train on a cohort and call it.

        Parameters
        ----------
        store, plasmid_store : Path, str or Store
            Count stores of the chromosome and, optionally, of plasmid genes.

        Raises
        ------
        CopyfoldError
            Bad keys or stores, or the folder holds a run already.
        """
        preset = read_yaml_mapping(Path(str(files("copyfold") / "presets" / "cnv.yaml")))
        given = {key: str(Path(value).resolve()) if _is_path(key, value) else value for key, value in self.keys.items()}
        run = self.folder / "fit"
        stores = {"store_path": _path(store), "plasmid_store_path": _path(plasmid_store), "out_dir": str(run)}
        config = self.folder / "config.yaml"
        write_text(config, yaml.safe_dump({**preset, **given, **stores}, sort_keys=False, allow_unicode=True))
        train_run(config, (), resume=False, device=self.device, console=Console(quiet=self.quiet))
        self.run_ = run
        self._fitted = (_path(store), _path(plasmid_store))
        return self

    def call(self, store: Path | str | Store, plasmid_store: Path | str | Store | None = None) -> CopyNumbers:
        """Call isolates; those that were fitted are not called again.

        Raises
        ------
        CopyfoldError
            Not fitted yet, or a store of other bins.
        """
        if not hasattr(self, "run_"):
            raise RunError("CopyNumberCaller: not fitted yet; call fit() with the store of a cohort first")
        if (_path(store), _path(plasmid_store)) == self._fitted:
            return _read(self.run_)
        number = 1
        while (out := self.folder / f"calls{number}").exists():
            number += 1
        console = Console(quiet=self.quiet)
        plasmid = None if plasmid_store is None else Path(str(_path(plasmid_store)))
        place = Path(str(_path(store)))
        call_new(self.run_, place, plasmid, out, (), resume=False, device=self.device, console=console)
        return _read(out)


def _is_path(key: str, value: Any) -> bool:
    return key.endswith("_path") and value is not None


def _path(store: Path | str | Store | None) -> str | None:
    if store is None:
        return None
    return str((store.path if isinstance(store, Store) else Path(store)).resolve())


def _read(run: Path) -> CopyNumbers:
    plasmids = run / "plasmid_gene_calls.tsv"
    return CopyNumbers(
        read_calls(run / "gene_calls.tsv"),
        read_calls(plasmids) if plasmids.exists() else None,
        read_segments(run),
        run,
    )
