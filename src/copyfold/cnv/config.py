"""Configuration of a copy-number run: the documents' flat schema, key for key, with their values as defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from copyfold.core.config import ConfigPath, FlatConfig

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
OptionalPath = ConfigPath | None

SMALL_COHORT = 50
"""Below this many isolates a VAE has no cohort to learn, and ``train`` recommends another architecture."""
_OPTIONAL_INPUTS = (
    "plasmid_store_path",
    "kpsc_gt_path",
    "kpsc_kleborate_gt_path",
    "kpsc_meta_path",
    "plasmid_gene_coords_path",
    "gene_coords_path",
    "bins_path",
)


class CnvConfig(FlatConfig):
    """All keys of a copy-number run; docs/formats/config.md says what each is for."""

    architecture: str = Field("06_conv_vae", description="model of expected depth: a registered name or module:Name")
    hmm: str = Field("02_gaussian_hmm", description="segmenter: a registered name or module:Name")
    cnv: str = Field("06_gene_cnv_caller", description="gene caller: a registered name or module:Name")
    evaluation: str = Field("04_kpsc_evaluation", description="evaluation: a registered name or module:Name")

    store_path: ConfigPath = Field(description="folder of the chromosome count store")
    plasmid_store_path: OptionalPath = Field(None, description="folder of the plasmid store; null calls no plasmids")
    out_dir: ConfigPath = Field(description="folder the run writes into")

    kpsc_gt_path: OptionalPath = Field(None, description="AMRFinder+ truth table (TSV)")
    kpsc_kleborate_gt_path: OptionalPath = Field(None, description="Kleborate truth table; overrides blaSHV")
    kpsc_meta_path: OptionalPath = Field(None, description="sample metadata with the ST of each run (TSV)")

    bins_path: OptionalPath = Field(
        None, description="reference folder, or a table of GC and mappability per bin; read by 10_count_model"
    )
    gene_coords_path: OptionalPath = Field(
        None,
        description="chromosomal genes: gene, contig, start, end (1-based inclusive); default blaSHV of HS11286",
    )
    plasmid_gene_coords_path: OptionalPath = Field(None, description="plasmid genes, with absent_threshold")
    pcn_absent_threshold: Annotated[float, Field(ge=0.0)] = Field(0.20, description="PCN below which a gene is absent")
    pcn_amp_threshold: Positive = Field(1.50, description="PCN from which a gene is amplified (cn 2)")

    latent_dim: Annotated[int, Field(ge=1, le=1024)] = Field(10, description="dimensions of the latent")
    batch_size: Annotated[int, Field(ge=1)] = Field(128, description="isolates per training step")
    epochs: Annotated[int, Field(ge=1)] = Field(150, description="most passes over the training isolates")
    lr: Annotated[float, Field(gt=0.0, le=1.0)] = Field(1.0e-4, description="learning rate of AdamW")
    weight_decay: Annotated[float, Field(ge=0.0)] = Field(1.0e-5, description="weight decay of AdamW")
    max_beta: Annotated[float, Field(ge=0.0)] = Field(1.0, description="final weight of the KL term")
    warmup_epochs: Annotated[int, Field(ge=0)] = Field(20, description="epochs over which β rises from 0")
    patience: Annotated[int, Field(ge=0)] = Field(
        20, description="epochs without improvement before stopping; 0: never"
    )

    hmm_n_states: Annotated[int, Field(ge=5, le=12)] = Field(
        6, description="states at copy ratio 0, 0.5, 1, 1.5, 2, 3, 4, …, the first so many"
    )
    hmm_self_transition: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        0.80, description="probability of staying in a state from one bin to the next"
    )
    hmm_low_cov_threshold: Annotated[float, Field(ge=0.0)] = Field(
        10, description="bins with fewer reads are masked and re-imputed from their neighbours"
    )

    cnv_min_cn1_proportion: Fraction = Field(0.55, description="share of confident CN=1 bins a callable contig needs")
    cnv_min_confidence: Fraction = Field(0.50, description="least confidence of a segment that counts")
    cnv_flank_padding: Annotated[int, Field(ge=0)] = Field(100000, description="bp around a gene that are no flank")
    cnv_crr_amp_threshold: Positive = Field(1.75, description="CRR from which a short gene is amplified")
    cnv_crr_gate_threshold: Positive = Field(1.75, description="CRR a longer gene needs besides its segments")
    cnv_crr_min_bins_fallback: Annotated[int, Field(ge=1)] = Field(3, description="a gene of fewer bins is short")
    cnv_min_gene_coverage_fraction: Fraction = Field(
        0.50, description="share of a longer gene's bins that must lie in confident CN≥2 segments"
    )

    eval_min_group_n: Annotated[int, Field(ge=1)] = Field(10, description="least isolates of an ST in the table by ST")

    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(42, description="seed of everything random")
    val_fraction: Annotated[float, Field(ge=0.0, le=0.5)] = Field(0.1, description="share of isolates for validation")
    normalise: bool = Field(True, description="divide counts by the sample's median before the log")
    cnv_pattern_weight: Annotated[float, Field(ge=0.0)] = Field(1.0, description="weight of the CNV-pattern alignment")
    cnv_pattern_warmup: Annotated[int, Field(ge=0)] = Field(
        30, description="epochs over which that weight rises from 0"
    )
    hmm_learn_means: bool = Field(False, description="let each sample's HMM move its means (Baum–Welch)")

    @field_validator("store_path", "plasmid_store_path")
    @classmethod
    def _folder_exists(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_dir():
            raise ValueError("no such folder; a store is a folder with counts.npy, contigs.npy and sample_ids.npy")
        return path

    @field_validator(
        "kpsc_gt_path",
        "kpsc_kleborate_gt_path",
        "kpsc_meta_path",
        "gene_coords_path",
        "plasmid_gene_coords_path",
    )
    @classmethod
    def _file_exists(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError("no such file; correct the path, or set the key to null to run without it")
        return path

    @field_validator("bins_path")
    @classmethod
    def _is_there(cls, path: Path | None) -> Path | None:
        if path is not None and not path.exists():
            raise ValueError("neither file nor folder; give a reference, or null to run without")
        return path

    @model_validator(mode="after")
    def _consistent(self) -> CnvConfig:
        if self.pcn_amp_threshold <= self.pcn_absent_threshold:
            raise ValueError(
                f"key 'pcn_amp_threshold' = {self.pcn_amp_threshold}: must be above "
                f"pcn_absent_threshold ({self.pcn_absent_threshold})"
            )
        if self.kpsc_kleborate_gt_path is not None and self.kpsc_gt_path is None:
            raise ValueError("key 'kpsc_kleborate_gt_path' overrides blaSHV of kpsc_gt_path, which is not set; set it")
        parts = {key: getattr(self, key) for key in ("architecture", "hmm", "cnv")}
        if "10_count_model" not in parts.values():
            needing = [f"{key}: {name}" for key, name in parts.items() if name in ("10_count_hmm", "10_count_caller")]
            if needing:
                raise ValueError(
                    f"{needing[0]} reads what 10_count_model learns, and architecture is {self.architecture}; name the "
                    "count model's three, or hmm: 02_gaussian_hmm and cnv: 06_gene_cnv_caller"
                )
        for key in ("store_path", "plasmid_store_path"):
            store = getattr(self, key)
            if store is not None and (self.out_dir == store or store in self.out_dir.parents):
                raise ValueError(f"key 'out_dir' = {self.out_dir}: lies in {key}; results go elsewhere than counts")
        return self

    def input_paths(self) -> dict[str, Path]:
        """The input files and folders that are set, by key."""
        keys = ("store_path", *_OPTIONAL_INPUTS)
        return {key: path for key in keys if (path := getattr(self, key)) is not None}
