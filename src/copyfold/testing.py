"""Contract tests for plug-ins: subclass one in your tests, name your class, run pytest.

from copyfold.testing import ArchitectureContract
from my_package import MyArchitecture

class TestMyArchitecture(ArchitectureContract):
    implementation = MyArchitecture
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from copyfold.cnv.bin_table import BinTable
from copyfold.cnv.config import CnvConfig
from copyfold.cnv.models.architecture import Architecture, Depths, FitSession, Inference
from copyfold.cnv.segmentation import ExpectedDepths, Segmentation, Segmenter
from copyfold.cnv.store import Contigs
from copyfold.core.console import Console
from copyfold.engine import DeterministicConfig

N_SAMPLES, N_BINS = 48, 150
DEPTH = 200.0
"""Reads per bin at one copy."""


def small_config(folder: Path, **changes: Any) -> CnvConfig:
    """A configuration for small tests: few epochs, 3 latent dimensions; `folder` stands for the store."""
    values: dict[str, Any] = {
        "store_path": folder,
        "out_dir": folder.parent / "out",
        "latent_dim": 3,
        "epochs": 3,
        "batch_size": 16,
        "warmup_epochs": 1,
        "cnv_pattern_warmup": 1,
    }
    return CnvConfig(**(values | changes))


def small_bins() -> BinTable:
    """150 bins of 1 kb on one contig, of which nothing else is known."""
    start = np.arange(N_BINS) * 1000
    return BinTable(Contigs(np.full(N_BINS, "chromosome"), start, start + 1000))


def lineage_depths(seed: int = 0) -> Depths:
    """Counts (48, 150) of three lineages, each with an absent region of its own, at 200 reads per bin."""
    rng = np.random.default_rng(seed)
    depth = np.ones((N_SAMPLES, N_BINS))
    for lineage in range(3):
        depth[lineage::3, 40 * lineage : 40 * lineage + 20] = 0.0
    return Depths(rng.poisson(200 * depth), np.full(N_SAMPLES, 200.0))


class ArchitectureContract:
    """What every architecture must do; see `copyfold.cnv.models.architecture.Architecture`."""

    implementation: ClassVar[type[Architecture]]
    config_changes: ClassVar[dict[str, Any]] = {}

    def _fitted(self, folder: Path) -> Architecture:
        (folder / "store").mkdir(parents=True, exist_ok=True)
        config = small_config(folder / "store", **self.config_changes)
        DeterministicConfig(config.seed).apply()
        session = FitSession(
            checkpoint=folder / "checkpoint.pth",
            last=folder / "last.pth",
            log=folder / "training_log.tsv",
            device=torch.device("cpu"),
            resume=False,
            console=Console(quiet=True),
        )
        architecture = self.implementation(small_bins(), config)
        summary = architecture.fit(lineage_depths(), session)
        assert summary.best_epoch >= 1
        assert np.isfinite(summary.best_loss)
        return architecture

    def test_fit_writes_checkpoint_and_log(self, tmp_path: Path) -> None:
        self._fitted(tmp_path)
        header, *rows = (tmp_path / "training_log.tsv").read_text().splitlines()
        assert header.split("\t")[0] == "epoch"
        assert rows
        assert "model_state_dict" in torch.load(tmp_path / "checkpoint.pth", weights_only=True)

    def test_inference_has_the_right_shape_and_is_finite(self, tmp_path: Path) -> None:
        inferred = self._fitted(tmp_path).infer(some_rows(lineage_depths(1), np.arange(7)))
        assert inferred.expected.shape == (7, N_BINS)
        assert inferred.latents.shape == (7, 3)
        assert inferred.expected.dtype == inferred.latents.dtype == np.float32
        assert np.isfinite(inferred.expected).all()
        assert np.isfinite(inferred.latents).all()
        assert (inferred.expected >= 0).all()
        if inferred.dispersion is not None:
            assert inferred.dispersion.shape == (7,)
            assert (inferred.dispersion >= 0).all()

    def test_a_loaded_model_infers_the_same_bits(self, tmp_path: Path) -> None:
        fitted = self._fitted(tmp_path)
        config = small_config(tmp_path / "store", **self.config_changes)
        loaded = self.implementation(small_bins(), config)
        loaded.load(tmp_path / "checkpoint.pth", torch.device("cpu"))
        profiles = lineage_depths(1)
        for expected, found in _pairs(fitted.infer(profiles), loaded.infer(profiles)):
            np.testing.assert_array_equal(found, expected)

    def test_the_same_seed_gives_the_same_bits(self, tmp_path: Path) -> None:
        profiles = lineage_depths(1)
        first = self._fitted(tmp_path / "first").infer(profiles)
        second = self._fitted(tmp_path / "second").infer(profiles)
        for expected, found in _pairs(first, second):
            np.testing.assert_array_equal(found, expected)

    def test_each_sample_is_inferred_by_itself(self, tmp_path: Path) -> None:
        fitted = self._fitted(tmp_path)
        profiles = lineage_depths(1)
        together = fitted.infer(profiles)
        order = np.random.default_rng(2).permutation(N_SAMPLES)[:11]
        for expected, found in _pairs(together, fitted.infer(some_rows(profiles, order))):
            np.testing.assert_allclose(found, expected[order], rtol=1e-4, atol=1e-4)


def some_rows(depths: Depths, rows: np.ndarray) -> Depths:
    """Some samples of a cohort."""
    return Depths(depths.counts[rows], depths.scale[rows])


def _pairs(left: Inference, right: Inference) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What two inferences have in common to compare."""
    assert (left.dispersion is None) == (right.dispersion is None)
    for one, other in zip(left, right, strict=True):
        if one is not None and other is not None:
            yield one, other


class SegmenterContract:
    """What every segmenter must do; see `copyfold.cnv.segmentation.Segmenter`."""

    implementation: ClassVar[type[Segmenter]]
    config_changes: ClassVar[dict[str, Any]] = {}

    def write_checkpoint(self, path: Path, bins: BinTable) -> None:
        """Make the checkpoint that the segmenter reads; those that read none need not override this."""

    def _segmenter(self, folder: Path, contigs: Contigs) -> Segmenter:
        (folder / "store").mkdir(parents=True, exist_ok=True)
        bins = BinTable(contigs)
        self.write_checkpoint(folder / "checkpoint.pth", bins)
        config = small_config(folder / "store", **self.config_changes)
        return self.implementation(bins, config, folder / "checkpoint.pth")

    def _depths(self) -> ExpectedDepths:
        """Two samples at 200 reads per bin, the second with three copies over bins 60 to 90."""
        truth = np.ones((2, N_BINS))
        truth[1, 60:90] = 3.0
        return expected_at(np.random.default_rng(0).poisson(DEPTH * truth))

    def _contigs(self) -> Contigs:
        start = np.concatenate([np.arange(100), np.arange(N_BINS - 100)]) * 1000
        chrom = np.where(np.arange(N_BINS) < 100, "first", "second")
        return Contigs(chrom, start, start + 1000)

    def test_copy_ratios_are_one_at_one_copy(self, tmp_path: Path) -> None:
        ratios = self._segmenter(tmp_path, self._contigs()).copy_ratios(self._depths())
        assert ratios.ratio.shape == ratios.masked.shape == (2, N_BINS)
        assert abs(float(np.median(ratios.ratio[0])) - 1.0) < 0.02
        assert not ratios.masked.any()

    def test_an_amplification_is_found_where_it_is(self, tmp_path: Path) -> None:
        found = _segmented(self._segmenter(tmp_path, self._contigs()), self._depths())
        assert (found.cn[0] == 1).all()
        assert (found.cn[1, 60:90] == 3).all()
        assert (np.delete(found.cn[1], np.s_[60:90]) == 1).all()

    def test_confidence_is_a_probability(self, tmp_path: Path) -> None:
        confidence = _segmented(self._segmenter(tmp_path, self._contigs()), self._depths()).confidence
        assert ((confidence >= 0) & (confidence <= 1)).all()

    def test_samples_do_not_touch_each_other(self, tmp_path: Path) -> None:
        segmenter, depths = self._segmenter(tmp_path, self._contigs()), self._depths()
        together = _segmented(segmenter, depths)
        swapped = _segmented(segmenter, expected_at(depths.counts[::-1]))
        for expected, found in zip(together, swapped, strict=True):
            if expected is not None and found is not None:
                np.testing.assert_array_equal(found[::-1], expected)

    def test_contigs_do_not_touch_each_other(self, tmp_path: Path) -> None:
        """The order of the contigs does not matter, not even to single bins between two levels beside a long gain."""
        rng = np.random.default_rng(0)
        lengths = {"normal": 200, "amplified": 100} | {f"short{number}": 1 for number in range(3)}
        level = {"normal": 1.0, "amplified": 3.0, "short0": 2.4, "short1": 1.6, "short2": 2.4}
        noise = {name: rng.normal(0.0, 0.3 if size > 1 else 0.0, size) for name, size in lengths.items()}
        counts_of = {name: np.rint(DEPTH * np.maximum(level[name] + noise[name], 0)) for name in lengths}

        def decode(*order: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
            sizes = [lengths[name] for name in order]
            start = np.concatenate([np.arange(size) for size in sizes]) * 1000
            segmenter = self._segmenter(tmp_path, Contigs(np.repeat(order, sizes), start, start + 1000))
            found = _segmented(segmenter, expected_at(np.concatenate([counts_of[name] for name in order])[None]))
            borders = np.cumsum(sizes)[:-1]
            parts = zip(np.split(found.cn[0], borders), np.split(found.confidence[0], borders), strict=True)
            return dict(zip(order, parts, strict=True))

        expected = decode("short0", "normal", "short1", "short2", "amplified")
        for name, (cn, confidence) in decode("normal", "amplified", "short0", "short1", "short2").items():
            np.testing.assert_array_equal(cn, expected[name][0], err_msg=name)
            np.testing.assert_allclose(confidence, expected[name][1], atol=1e-4, err_msg=name)


def expected_at(counts: np.ndarray) -> ExpectedDepths:
    """Counts of samples of which `DEPTH` reads per bin are expected everywhere."""
    counts = np.asarray(counts)
    return ExpectedDepths(
        counts, np.full(counts.shape, DEPTH, dtype=np.float32), np.full(len(counts), 1e-3, dtype=np.float32)
    )


def _segmented(segmenter: Segmenter, depths: ExpectedDepths) -> Segmentation:
    return segmenter.segment(depths, segmenter.copy_ratios(depths))
