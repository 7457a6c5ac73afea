"""Where the sets are published, and fetching those that are single files."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import yaml

from copyfold.core.files import file_digest
from copyfold.errors import InputError, RunError


@dataclass(frozen=True)
class Download:
    """One entry of the registry ``downloads.yaml``.

    Attributes
    ----------
    source : str
        Name in `copyfold.ddg.importers.sources.SOURCES`.
    url : str
        Of the file, or of the page it is on.
    file : str, optional
        The file's name; None where it must be fetched by hand from the page.
    sha256 : str, optional
        None where the file could not be checked when the registry was made.
    note : str
    """

    source: str
    url: str
    file: str | None
    sha256: str | None
    note: str


def read_registry() -> dict[str, Download]:
    """All entries by source."""
    text = resources.files("copyfold.ddg.importers").joinpath("downloads.yaml").read_text(encoding="utf-8")
    return {source: Download(source=source, **entry) for source, entry in yaml.safe_load(text).items()}


def fetch(entry: Download, folder: Path) -> tuple[Path, str]:
    """Download an entry's file into `folder`, unless it is there.

    Returns
    -------
    path : Path
    digest : str
        ``sha256:<hex>`` of what is there, which has been compared where the registry knows it.

    Raises
    ------
    InputError
        The entry has no file that can be fetched.
    RunError
        No connection, or the file is not the one the registry knows.
    """
    import pooch
    import requests

    if entry.file is None:
        raise InputError(f"{entry.source}: has no file that can be fetched by itself; open {entry.url} ({entry.note})")
    known = f"sha256:{entry.sha256}" if entry.sha256 else None
    try:
        path = Path(pooch.retrieve(entry.url, known_hash=known, fname=entry.file, path=folder))
    except (OSError, ValueError, requests.RequestException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunError(
            f"{entry.url}: cannot be downloaded ({reason}); fetch it by other means and import the local file"
        ) from None
    return path, file_digest(path)
