"""``10_count_hmm``: segments by the count model's chain of copy states, from counts and their expectation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from copyfold.cnv.bin_table import BinTable
from copyfold.cnv.config import CnvConfig
from copyfold.cnv.countmodel import IsolateCalls, decode_isolates
from copyfold.cnv.countmodel.inference import isolate_depth
from copyfold.cnv.countmodel.states import ABSENT, MIXED, MORE, build_chain
from copyfold.cnv.models.count_model import load_count_model
from copyfold.cnv.normalise import CopyRatios
from copyfold.cnv.segmentation import ExpectedDepths, Segmentation


class CountSegmenter:
    """The registered segmenter ``10_count_hmm``.

    Parameters
    ----------
    bins : BinTable
    config : CnvConfig
        ``hmm_low_cov_threshold``: *expected* reads below which a bin is masked.
    checkpoint : Path
        Of architecture ``10_count_model``.
    """

    def __init__(self, bins: BinTable, config: CnvConfig, checkpoint: Path) -> None:
        self.low_coverage = config.hmm_low_cov_threshold
        self.contigs = bins.contigs
        self.model = load_count_model(checkpoint, len(bins))

    def copy_ratios(self, depths: ExpectedDepths) -> CopyRatios:
        """Reads over expected reads at one copy. A bin is masked where little is *expected*: absence hides nothing."""
        expected = np.asarray(depths.expected, dtype=np.float32)
        masked = expected < self.low_coverage
        ratio = np.asarray(depths.counts, dtype=np.float32) / np.maximum(expected, np.float32(1e-3))
        return CopyRatios(ratio, masked)

    def segment(self, depths: ExpectedDepths, ratios: CopyRatios) -> Segmentation:
        """Decode a batch of samples; −1 where the sample is shallower than the model's ``min_depth``."""
        calls = decode_isolates(depths.counts, depths.expected, sample_dispersion(depths), self.model)
        cn, mixed = copy_numbers(calls, build_chain(self.model.settings).copies)
        confidence = calls.certainty.copy()
        unknown = np.zeros(cn.shape, dtype=bool)
        unknown[isolate_depth(depths.expected, self.model) < self.model.settings.min_depth] = True
        chains = self.contigs.chain_starts
        for begin, stop in zip(chains[:-1].tolist(), chains[1:].tolist(), strict=True):
            unknown[ratios.masked[:, begin:stop].all(axis=1), begin:stop] = True
        cn[unknown], mixed[unknown], confidence[unknown] = -1, False, 0.0
        return Segmentation((2 * cn + mixed).astype(np.int16), cn, confidence, mixed)


def copy_numbers(calls: IsolateCalls, copies_of_state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Copy number, (n, B), int16, and whether it is mixed, (n, B), bool, of every bin.

    A gain has the copies of its most probable state, or of the bin's posterior mean where that state is no gain; at
    least 2. A mixed bin has 1, as most cells of the culture do.
    """
    state_copies = copies_of_state[calls.state]
    gain = np.where(state_copies >= 2, state_copies, calls.copies)
    gain = np.maximum(np.rint(gain), 2)
    cn = np.where(calls.bin_class == MORE, gain, np.where(calls.bin_class == ABSENT, 0, 1))
    return cn.astype(np.int16), calls.bin_class == MIXED


def sample_dispersion(depths: ExpectedDepths) -> np.ndarray:
    """Dispersions of the samples, (n,), float32."""
    assert depths.dispersion is not None
    return depths.dispersion
