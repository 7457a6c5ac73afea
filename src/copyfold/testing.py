"""Contract tests for plug-ins: subclass one in your tests, name your class, run pytest.

from copyfold.testing import ArchitectureContract
from my_package import MyArchitecture

class TestMyArchitecture(ArchitectureContract):
    implementation = MyArchitecture
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from copyfold.cnv.config import CnvConfig
from copyfold.cnv.models.architecture import Architecture, FitSession
from copyfold.cnv.normalise import CopyRatios
from copyfold.cnv.segmentation import Segmenter
from copyfold.cnv.store import Contigs
from copyfold.core.console import Console
from copyfold.engine import DeterministicConfig

N_SAMPLES, N_BINS = 48, 150


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


def lineage_log_depths(seed: int = 0) -> np.ndarray:
    """Log depths (48, 150) of three lineages, each with an absent region of its own, and noise."""
    rng = np.random.default_rng(seed)
    depth = np.ones((N_SAMPLES, N_BINS))
    for lineage in range(3):
        depth[lineage::3, 40 * lineage : 40 * lineage + 20] = 0.0
    counts = rng.poisson(200 * depth)
    return np.log2(counts / 200 + 1).astype(np.float32)


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
        architecture = self.implementation(N_BINS, config)
        summary = architecture.fit(lineage_log_depths(), session)
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
        inferred = self._fitted(tmp_path).infer(lineage_log_depths(1)[:7])
        assert inferred.log_depth.shape == (7, N_BINS)
        assert inferred.latents.shape == (7, 3)
        assert inferred.log_depth.dtype == inferred.latents.dtype == np.float32
        assert np.isfinite(inferred.log_depth).all()
        assert np.isfinite(inferred.latents).all()

    def test_a_loaded_model_infers_the_same_bits(self, tmp_path: Path) -> None:
        fitted = self._fitted(tmp_path)
        config = small_config(tmp_path / "store", **self.config_changes)
        loaded = self.implementation(N_BINS, config)
        loaded.load(tmp_path / "checkpoint.pth", torch.device("cpu"))
        profiles = lineage_log_depths(1)
        for expected, found in zip(fitted.infer(profiles), loaded.infer(profiles), strict=True):
            np.testing.assert_array_equal(found, expected)

    def test_the_same_seed_gives_the_same_bits(self, tmp_path: Path) -> None:
        profiles = lineage_log_depths(1)
        first = self._fitted(tmp_path / "first").infer(profiles)
        second = self._fitted(tmp_path / "second").infer(profiles)
        for expected, found in zip(first, second, strict=True):
            np.testing.assert_array_equal(found, expected)

    def test_each_sample_is_inferred_by_itself(self, tmp_path: Path) -> None:
        fitted = self._fitted(tmp_path)
        profiles = lineage_log_depths(1)
        together = fitted.infer(profiles)
        order = np.random.default_rng(2).permutation(N_SAMPLES)[:11]
        for expected, found in zip(together, fitted.infer(profiles[order]), strict=True):
            np.testing.assert_allclose(found, expected[order], atol=1e-4)


class SegmenterContract:
    """What every segmenter must do; see `copyfold.cnv.segmentation.Segmenter`."""

    implementation: ClassVar[type[Segmenter]]
    config_changes: ClassVar[dict[str, Any]] = {}

    def _segmenter(self, folder: Path) -> Segmenter:
        (folder / "store").mkdir(parents=True, exist_ok=True)
        return self.implementation(small_config(folder / "store", **self.config_changes))

    def _ratios(self, segmenter: Segmenter) -> CopyRatios:
        """Two samples at 200 reads per bin, the second with three copies over bins 60 to 90."""
        expected = np.full((2, N_BINS), 200.0, dtype=np.float32)
        truth = np.ones((2, N_BINS))
        truth[1, 60:90] = 3.0
        return segmenter.copy_ratios(np.random.default_rng(0).poisson(expected * truth), expected)

    def _contigs(self) -> Contigs:
        start = np.concatenate([np.arange(100), np.arange(N_BINS - 100)]) * 1000
        chrom = np.where(np.arange(N_BINS) < 100, "first", "second")
        return Contigs(chrom, start, start + 1000)

    def test_copy_ratios_are_one_at_one_copy(self, tmp_path: Path) -> None:
        ratios = self._ratios(self._segmenter(tmp_path))
        assert ratios.ratio.shape == ratios.masked.shape == (2, N_BINS)
        assert abs(float(np.median(ratios.ratio[0])) - 1.0) < 0.02
        assert not ratios.masked.any()

    def test_an_amplification_is_found_where_it_is(self, tmp_path: Path) -> None:
        segmenter = self._segmenter(tmp_path)
        found = segmenter.segment(self._ratios(segmenter), self._contigs())
        assert (found.cn[0] == 1).all()
        assert (found.cn[1, 60:90] == 3).all()
        assert (np.delete(found.cn[1], np.s_[60:90]) == 1).all()

    def test_confidence_is_a_probability(self, tmp_path: Path) -> None:
        segmenter = self._segmenter(tmp_path)
        confidence = segmenter.segment(self._ratios(segmenter), self._contigs()).confidence
        assert ((confidence >= 0) & (confidence <= 1)).all()

    def test_samples_do_not_touch_each_other(self, tmp_path: Path) -> None:
        segmenter = self._segmenter(tmp_path)
        ratios = self._ratios(segmenter)
        together = segmenter.segment(ratios, self._contigs())
        swapped = segmenter.segment(CopyRatios(ratios.ratio[::-1], ratios.masked[::-1]), self._contigs())
        for expected, found in zip(together, swapped, strict=True):
            np.testing.assert_array_equal(found[::-1], expected)

    def test_contigs_do_not_touch_each_other(self, tmp_path: Path) -> None:
        """The order of the contigs does not matter, not even to single bins between two levels beside a long gain."""
        rng = np.random.default_rng(0)
        lengths = {"normal": 200, "amplified": 100} | {f"short{number}": 1 for number in range(3)}
        level = {"normal": 1.0, "amplified": 3.0, "short0": 2.4, "short1": 1.6, "short2": 2.4}
        ratio_of = {name: rng.normal(level[name], 0.3 if size > 1 else 0.0, size) for name, size in lengths.items()}

        def decode(*order: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
            sizes = [lengths[name] for name in order]
            start = np.concatenate([np.arange(size) for size in sizes]) * 1000
            contigs = Contigs(np.repeat(order, sizes), start, start + 1000)
            ratio = np.concatenate([ratio_of[name] for name in order])[None].astype(np.float32)
            found = segmenter.segment(CopyRatios(ratio, np.zeros(ratio.shape, dtype=bool)), contigs)
            borders = np.cumsum(sizes)[:-1]
            parts = zip(np.split(found.cn[0], borders), np.split(found.confidence[0], borders), strict=True)
            return dict(zip(order, parts, strict=True))

        segmenter = self._segmenter(tmp_path)
        expected = decode("short0", "normal", "short1", "short2", "amplified")
        for name, (cn, confidence) in decode("normal", "amplified", "short0", "short1", "short2").items():
            np.testing.assert_array_equal(cn, expected[name][0], err_msg=name)
            np.testing.assert_allclose(confidence, expected[name][1], atol=1e-4, err_msg=name)
