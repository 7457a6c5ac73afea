"""Settings are strict, and an error names key, value and rule."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from copyfold.cnv.simulation import PRESETS, hs11286_geometry, load_settings, preset, simulate
from copyfold.cnv.simulation.settings import changed
from copyfold.errors import ConfigError


@pytest.mark.parametrize("name", PRESETS)
def test_presets_load_and_survive_a_round_trip(name: str, tmp_path: Path) -> None:
    settings = preset(name)
    assert settings.name == name
    written = tmp_path / "settings.yaml"
    written.write_text(yaml.safe_dump(settings.model_dump(mode="json")), encoding="utf-8")
    assert load_settings(written) == settings


@pytest.mark.parametrize("name", PRESETS)
def test_every_number_of_a_preset_has_its_reason(name: str) -> None:
    path = Path(__file__).parents[3] / f"src/copyfold/presets/simulate_{name}.yaml"
    bare = []
    previous = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if value.strip() and "#" not in line and "#" not in previous:
            bare.append(key.strip())
        previous = line
    explained_above = {"name", "private_absence_bp", "duplication_bp", "copies"}
    of_a_family = {"prevalence", "copies_median", "copies_log_sd", "alleles"}
    families = {key for key in bare if key.startswith(("bla", "qnr", "aac"))}
    assert set(bare) <= explained_above | of_a_family | families


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        preset("easy").depth.median = 1.0


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("depth", {"median": -3.0}, r"depth\.median is -3\.0; should be greater than 0"),
        ("depth", {"median": "380"}, r"depth\.median is '380'; should be a valid number"),
        ("depth", {"median": float("nan")}, r"depth\.median is nan; should be a finite number"),
        ("depth", {"mean": 3.0}, r"depth\.mean is not a setting"),
        ("batches", {"count": 0}, r"batches\.count is 0; should be greater than or equal to 1"),
        ("batches", {"count": 2.5}, r"batches\.count is 2\.5; should be a valid integer"),
        ("quality", {"failed_rate": 1.5}, r"quality\.failed_rate is 1\.5; should be less than or equal to 1"),
        ("quality", {"failed_rate": 0.6, "noisy_rate": 0.6}, r"quality is .*; failed_rate, .* more than 1"),
        ("gene", {"amplification_rate": 0.6, "mixed_rate": 0.6}, r"gene is .* more than 1"),
        (
            "events",
            {"bp": (60_000, 1_000)},
            r"events\.bp is .*; the first number must not be above the second",
        ),
        ("events", {"copies": (1, 4)}, r"events\.copies\.0 is 1; should be greater than or equal to 2"),
    ],
)
def test_an_impossible_value_is_named_with_its_rule(section: str, values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        changed(preset("easy"), **{section: values})


def test_missing_section_bad_yaml_and_missing_file(tmp_path: Path) -> None:
    values = preset("easy").model_dump(mode="json")
    del values["depth"]
    path = tmp_path / "settings.yaml"
    for text, message in (
        (yaml.safe_dump(values), r"settings\.yaml: depth is missing"),
        ("a: [1", "not valid YAML"),
        ("- 1", "must hold one mapping"),
        ("depth: {}\ndepth: {}", "stands twice"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=message):
            load_settings(path)
    with pytest.raises(ConfigError, match="no such file"):
        load_settings(tmp_path / "none.yaml")


def test_unknown_preset_lists_what_there_is() -> None:
    with pytest.raises(ConfigError, match="'medium' does not exist; choose one of: easy, hard"):
        preset("medium")


def test_plasmid_families_must_be_those_of_the_panel() -> None:
    families = preset("easy").model_dump()["plasmids"]["families"]
    geometry = hs11286_geometry(20)
    without = {name: numbers for name, numbers in families.items() if name != "qnrB"}
    with pytest.raises(ConfigError, match=r"plasmids\.families\.qnrB is missing"):
        simulate(changed(preset("easy"), plasmids={"families": without}), 1, 1, geometry)
    extra = changed(preset("easy"), plasmids={"families": {**families, "mcr": families["qnrB"]}})
    with pytest.raises(ConfigError, match=r"plasmids\.families\.mcr is not in the panel"):
        simulate(extra, 1, 1, geometry)
    unknown = {**families, "blaNDM": {**families["blaNDM"], "alleles": {"blaNDM-9": 1.0}}}
    with pytest.raises(ConfigError, match="it must name some of blaNDM-1, blaNDM-5"):
        simulate(changed(preset("easy"), plasmids={"families": unknown}), 1, 1, geometry)
