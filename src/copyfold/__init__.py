"""copyfold: gene copy number from read depth in bacterial cohorts, and stability of proteins on mutation.

The names below are the public API; they are imported when first asked for, so that ``import copyfold`` and
``copyfold --help`` do not load torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from copyfold.app.caller import CopyNumberCaller
    from copyfold.app.cnv_run import rerun_stage, train_run
    from copyfold.cnv.config import CnvConfig
    from copyfold.cnv.simulation import simulate, write_cohort
    from copyfold.cnv.store import Store, open_store, write_store
    from copyfold.core.config import load_config
    from copyfold.ddg.models.ddgvae import DDGVAE
    from copyfold.ddg.specialists import load_specialist
    from copyfold.errors import CopyfoldError

_HOME = {
    "CnvConfig": "copyfold.cnv.config",
    "CopyNumberCaller": "copyfold.app.caller",
    "CopyfoldError": "copyfold.errors",
    "DDGVAE": "copyfold.ddg.models.ddgvae",
    "load_specialist": "copyfold.ddg.specialists",
    "Store": "copyfold.cnv.store",
    "load_config": "copyfold.core.config",
    "open_store": "copyfold.cnv.store",
    "rerun_stage": "copyfold.app.cnv_run",
    "simulate": "copyfold.cnv.simulation",
    "train_run": "copyfold.app.cnv_run",
    "write_cohort": "copyfold.cnv.simulation",
    "write_store": "copyfold.cnv.store",
}

__all__ = [
    "DDGVAE",
    "CnvConfig",
    "CopyNumberCaller",
    "CopyfoldError",
    "Store",
    "load_config",
    "load_specialist",
    "open_store",
    "rerun_stage",
    "simulate",
    "train_run",
    "write_cohort",
    "write_store",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'copyfold' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)
