"""Configuration of a specialist's training: one flat file, what it leaves out as the documents' table has it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from copyfold.core.config import ConfigPath, FlatConfig
from copyfold.ddg.models.variants import VARIANTS

Share = Annotated[float, Field(ge=0.0, le=0.5)]

_PROTOCOLS: dict[str, dict[str, Any]] = {
    "s669": {"split": "random", "val_fraction": 0.2, "test_fraction": 0.0, "max_rows": 40},
    "protherm": {"split": "cluster", "val_fraction": 0.1, "test_fraction": 0.1, "max_rows": None},
    "wide": {"split": "cluster", "val_fraction": 0.1, "test_fraction": 0.0, "max_rows": 100_000},
}
"""How each specialist's rows are chosen: S669's by the documents' protocol, 40 rows of which 8 validate."""


class DdgConfig(FlatConfig):
    """All keys of a specialist's training; docs/formats/ddg-run.md says what each is for."""

    variant: Literal["s669", "protherm", "wide"] = Field(description="which specialist: s669, protherm or wide")
    data: ConfigPath | None = Field(
        None, description="tidy table, or a folder that holds the specialist's tables; needed unless --quick"
    )
    structures: ConfigPath | None = Field(
        None, description="folder of PDB or mmCIF files named by protein; default: structures beside or in data"
    )
    out_dir: ConfigPath = Field(Path("outputs"), description="folder in which the run's folder vae_<variant> is made")

    use_hyperbolic: bool = Field(False, description="add the four features of the Poincaré ball")
    epochs: Annotated[int, Field(ge=1)] = Field(description="most passes over the training rows")
    batch_size: Annotated[int, Field(ge=1)] = Field(description="mutations per training step")
    lr: Annotated[float, Field(gt=0.0, le=1.0)] = Field(description="learning rate of AdamW")
    patience: Annotated[int, Field(ge=0)] = Field(description="epochs without improvement before stopping; 0: never")
    weight_decay: Annotated[float, Field(ge=0.0)] = Field(1e-5, description="weight decay of AdamW")
    max_beta: Annotated[float, Field(ge=0.0)] = Field(0.1, description="final weight of the KL term")
    warmup_epochs: Annotated[int, Field(ge=0)] = Field(5, description="epochs over which β rises from 0")

    split: Literal["random", "cluster"] = Field(description="split by rows, or by clusters of homologous proteins")
    val_fraction: Annotated[float, Field(gt=0.0, le=0.5)] = Field(description="share of the rows that choose the epoch")
    test_fraction: Share = Field(description="share of the rows that are only reported")
    identity: Annotated[float, Field(gt=0.0, le=1.0)] = Field(0.25, description="identity that joins two proteins")
    coverage: Annotated[float, Field(gt=0.0, le=1.0)] = Field(0.5, description="aligned share that joins two proteins")
    held_out: ConfigPath | None = Field(
        None, description="tidy table to test on; proteins of the data that resemble one of it are left out"
    )
    test_proteins: tuple[str, ...] = Field(
        (),
        description="proteins of the data to test on (* is any text); others that resemble one of them are left out",
    )
    max_rows: Annotated[int, Field(ge=10)] | None = Field(description="rows drawn from the data; null takes all")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(42, description="seed of everything random")

    @model_validator(mode="before")
    @classmethod
    def _of_the_variant(cls, values: Any) -> Any:
        """What is left out is as the documents' table has it for the variant."""
        if isinstance(values, dict) and isinstance(name := values.get("variant"), str) and name in VARIANTS:
            variant = VARIANTS[name]
            table = {key: getattr(variant, key) for key in ("epochs", "batch_size", "lr", "patience")}
            return table | _PROTOCOLS[name] | values
        return values

    @field_validator("test_proteins", mode="before")
    @classmethod
    def _as_tuple(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("data", "structures", "held_out")
    @classmethod
    def _exists(cls, path: Path | None) -> Path | None:
        if path is not None and not path.exists():
            raise ValueError("no such file or folder; correct the path, or make it with `copyfold ddg data import`")
        return path

    @model_validator(mode="after")
    def _one_test(self) -> DdgConfig:
        asked = [name for name in ("held_out", "test_proteins") if getattr(self, name)]
        if len(asked) == 2 or (asked and self.test_fraction):
            what = asked if len(asked) == 2 else [asked[0], "test_fraction"]
            raise ValueError(f"key '{what[0]}' and key '{what[1]}' both choose the test rows; set one of them")
        return self
