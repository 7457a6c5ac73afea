"""Real stability data, and small chains built for tests."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "ddg"


@pytest.fixture(scope="session")
def shared_ddg() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not here")
    return SHARED


@pytest.fixture(scope="session")
def published(shared_ddg):
    """``published(name)`` reads a set as text, so that no code like 1e10 becomes a number."""

    def read(name: str) -> pd.DataFrame:
        return pd.read_csv(shared_ddg / f"sets/{name}.csv.gz", dtype=str, keep_default_na=False)

    return read
