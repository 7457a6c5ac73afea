"""Feature sets by name and version: what a checkpoint was trained on, and what it must be given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from copyfold.ddg.features.base import BASE14
from copyfold.ddg.features.poincare import HYPERBOLIC4
from copyfold.ddg.features.protherm import PROTHERM20
from copyfold.errors import InputError


class FeatureSet(NamedTuple):
    """A list of features with a name.

    Attributes
    ----------
    name : str
        Such as ``protherm20+hyperbolic4``.
    version : int
        Rises when a feature's meaning or numbers change.
    features : tuple of str
        Names, in the order of the columns.
    """

    name: str
    version: int
    features: tuple[str, ...]

    @property
    def needs_structure(self) -> bool:
        """Whether secondary structure and RSA are among the features."""
        return "rsa" in self.features

    @property
    def hyperbolic(self) -> bool:
        """Whether the features of the Poincaré ball are among them."""
        return HYPERBOLIC4[0] in self.features

    def as_record(self) -> dict[str, Any]:
        """What a checkpoint and ``run.json`` say of it."""
        return {"name": self.name, "version": self.version, "features": list(self.features)}


FEATURE_SETS = {
    item.name: item
    for item in (
        FeatureSet("base14", 1, BASE14),
        FeatureSet("protherm20", 1, PROTHERM20),
        FeatureSet("base14+hyperbolic4", 1, BASE14 + HYPERBOLIC4),
        FeatureSet("protherm20+hyperbolic4", 1, PROTHERM20 + HYPERBOLIC4),
    )
}


def check_feature_set(record: Mapping[str, Any] | None, expected: FeatureSet, where: str) -> None:
    """Refuse a checkpoint that was trained on other features than it would be given.

    Parameters
    ----------
    record : mapping or None
        ``feature_set`` of the checkpoint, as `FeatureSet.as_record` writes it.
    expected : FeatureSet
        What this version computes.
    where : str
        The checkpoint, for the message.

    Raises
    ------
    InputError
        Another name, version, number or order of features.
    """
    if not record:
        raise InputError(f"{where}: does not say which features it was trained on; train it again")
    features = record.get("features")
    known = record.get("name"), record.get("version"), tuple(map(str, features if isinstance(features, list) else ()))
    if known == expected:
        return
    if known[:2] != expected[:2]:
        raise InputError(
            f"{where}: was trained on features {known[0]} version {known[1]}, not {expected.name} version "
            f"{expected.version}; use the model that fits, or train again"
        )
    theirs = set(known[2]) ^ set(expected.features)
    what = f"{len(theirs)} names differ ({', '.join(sorted(theirs)[:3])})" if theirs else "their order differs"
    raise InputError(f"{where}: its {expected.name} is not the one of this version: {what}; train again")
