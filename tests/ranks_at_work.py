"""One of several processes that train together, as test_ranks.py starts them: ``ranks_at_work.py FOLDER``.

In double precision, so that the order of additions shows in the last digits only and a wrong weight in the first ones.
"""

import os
import signal
import sys
from pathlib import Path

import torch
from torch import nn

from copyfold.cnv.models.conv_vae import ConvVAE
from copyfold.core.torchrun import own_place
from copyfold.engine import LinearWarmup, Trainer, TrainingSettings, join_ranks, split_validation
from copyfold.errors import CopyfoldError

N_ROWS, N_BINS, EPOCHS, STOPPED_AFTER = 40, 96, 5, 2
TRAIN, VALIDATION = split_validation(N_ROWS, 0.15, 42)  # 34 rows, in batches of 8: the last has 2, for 3 processes
LOST = 7


def make_data():
    rows = torch.randn(N_ROWS, N_BINS, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    rows[::3, :40] -= 1.0
    return 0.1 * rows + 1.0


def make_trainer(folder, ranks):
    torch.manual_seed(0)
    module = ConvVAE(N_BINS, 3).double()
    settings = TrainingSettings(EPOCHS, 8, 1e-2, 1e-4, patience=0, gradient_clip=0.2)
    weights = {"kl": LinearWarmup(0.1, 2), "cnv_pattern": LinearWarmup(1.0, 1)}
    paths = {"checkpoint": folder / "checkpoint.pth", "last": folder / "last.pth", "log": folder / "log.tsv"}
    folder.mkdir(exist_ok=True)
    return Trainer(module, settings, weights, ranks=ranks, **paths)


def train(folder, ranks, on_epoch=None, resume=False, data=None):
    """The module with the best weights, and the log."""
    trainer = make_trainer(folder, ranks)
    data = make_data() if data is None else data
    result = trainer.fit(data, TRAIN, VALIDATION, resume=resume, on_epoch=on_epoch)
    return trainer.module.state_dict(), result.rows


def end_of(work):
    """How `work` ended, in words."""
    try:
        work()
    except CopyfoldError as error:
        return f"{type(error).__name__}: {error}"
    except SystemExit as end:
        return f"exit {end.code}"
    return "done"


def main(folder):
    ranks = join_ranks(own_place(), torch.device("cpu"))
    own = folder / f"process{ranks.rank}"  # only the first process may make files in the shared ones

    def stop_one(epoch, row):
        if epoch == STOPPED_AFTER and ranks.rank == 2:
            signal.raise_signal(signal.SIGTERM)

    def lose_one(epoch, row):
        if epoch == STOPPED_AFTER and ranks.rank == 2:
            torch.save(found, own / "found.pt")
            os._exit(LOST)

    found = {"whole": train(own / "whole", ranks)}
    found["files"] = sorted(path.name for path in (own / "whole").iterdir())
    found["stopped"] = end_of(lambda: train(folder / "stopped", ranks, stop_one))
    found["other cohort"] = end_of(lambda: train(own / "other", ranks, data=make_data()[: N_ROWS - ranks.rank]))
    module = nn.Sequential(nn.BatchNorm1d(3))
    settings = TrainingSettings(1, 8, 1e-2, 0.0, 0)
    found["batch normalisation"] = end_of(
        lambda: Trainer(module, settings, {}, checkpoint=own, last=own, log=own, ranks=ranks)
    )
    found["lost"] = end_of(lambda: train(own / "lost", ranks, lose_one))
    torch.save(found, own / "found.pt")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for rank in range(own_place().size):
        (folder / f"process{rank}").mkdir(exist_ok=True)
    main(folder)
