"""Configuration files: one clear error for each mistake."""

from pathlib import Path

import pytest
import yaml

from copyfold.cnv.config import CnvConfig
from copyfold.core.config import load_config
from copyfold.errors import ConfigError

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def write(tmp_path):
    (tmp_path / "store").mkdir()

    def _write(text="", name="config.yaml"):
        (tmp_path / name).write_text("store_path: store\nout_dir: run\n" + text)
        return tmp_path / name

    return _write


def test_paths_are_relative_to_the_file_and_overrides_to_the_working_folder(write, tmp_path, monkeypatch):
    path = write()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    config = load_config(CnvConfig, path, ["out_dir=here/run"])
    assert config.store_path == (tmp_path / "store").resolve()
    assert config.out_dir == (elsewhere / "here/run").resolve()


def test_the_documents_values_are_the_defaults(write):
    config = load_config(CnvConfig, write())
    document = yaml.safe_load((REPOSITORY / "experiments/32/config.yaml").read_text())
    for key, value in document.items():
        if not key.endswith("_path") and key != "out_dir":
            assert getattr(config, key) == value, key


@pytest.mark.parametrize("name", ["33", "34", "35", "36"])
def test_experiments_differ_in_their_three_data_keys_only(name):
    first = yaml.safe_load((REPOSITORY / "experiments/32/config.yaml").read_text())
    other = yaml.safe_load((REPOSITORY / f"experiments/{name}/config.yaml").read_text())
    assert list(first) == list(other)
    differing = {key for key in first if first[key] != other[key]}
    assert differing == {"store_path", "plasmid_store_path", "out_dir"}


@pytest.mark.parametrize("text", ["lr: 1e-4", "lr: 1.0e-4", "lr: 0.0001", "lr: 1E-4"])
def test_a_learning_rate_is_a_number_however_it_is_written(write, text):
    assert load_config(CnvConfig, write(text)).lr == 1e-4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 10", r"unknown key 'epoch'; did you mean 'epochs'\?"),
        ("colour: red", r"unknown key 'colour'; `copyfold config schema`"),
        ("epochs: ten", r"key 'epochs' = 'ten': input should be a valid integer"),
        ("epochs: 1.5", r"key 'epochs' = 1.5: "),
        ("epochs: true", r"key 'epochs' = True: "),
        ("epochs: 0", r"key 'epochs' = 0: input should be greater than or equal to 1"),
        ("lr: .nan", r"key 'lr' = nan: "),
        ("hmm_self_transition: 1.0", r"key 'hmm_self_transition' = 1.0: input should be less than 1"),
        ("hmm_n_states: 3", r"key 'hmm_n_states' = 3: "),
        ("kpsc_gt_path: nowhere.tsv", r"key 'kpsc_gt_path' = '.*nowhere.tsv': no such file"),
        ("plasmid_store_path: nowhere", r"key 'plasmid_store_path' = '.*nowhere': no such folder"),
        ("pcn_amp_threshold: 0.1", r"key 'pcn_amp_threshold' = 0.1: must be above pcn_absent_threshold"),
        ("out_dir: again", r"key 'out_dir' stands twice"),
        ("epochs: [1", r"line \d: not valid YAML"),
        ("- a", "not valid YAML"),
        ("normalise: yes please", r"key 'normalise' = 'yes please'"),
    ],
)
def test_mistakes_are_told_with_key_value_and_rule(write, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(CnvConfig, write(text))
    assert len(str(caught.value).splitlines()) == 1
    assert "config.yaml" in str(caught.value)


def test_a_missing_required_key_says_what_it_is_for(tmp_path):
    (tmp_path / "c.yaml").write_text("out_dir: run\n")
    with pytest.raises(ConfigError, match="key 'store_path' is missing; folder of the chromosome count store"):
        load_config(CnvConfig, tmp_path / "c.yaml")


@pytest.mark.parametrize("override", ["epochs", "=3", "epochs=ten", "nonsense=1"])
def test_bad_overrides(write, override):
    with pytest.raises(ConfigError):
        load_config(CnvConfig, write(), [override])


def test_null_switches_an_input_off(write, tmp_path):
    (tmp_path / "gt.tsv").write_text("x")
    assert load_config(CnvConfig, write("kpsc_gt_path: gt.tsv"), ["kpsc_gt_path=null"]).kpsc_gt_path is None


def test_results_do_not_go_into_the_store(write):
    with pytest.raises(ConfigError, match="results go elsewhere"):
        load_config(CnvConfig, write(), ["out_dir=" + str(write().parent / "store/run")])


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b""])
def test_unreadable_files(tmp_path, content):
    path = tmp_path / "c.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"c\.yaml"):
        load_config(CnvConfig, path)
