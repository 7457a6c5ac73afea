"""Bad input: one clear line each, exit code 2, nothing half-written."""

import os
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

STORE = "chromosome"


def change_array(name, change, store=STORE):
    """A damage: replace an array of a store by what `change` makes of it."""

    def damage(cohort):
        path = cohort / store / name
        np.save(path, change(np.load(path)), allow_pickle=True)

    return damage


def change_text(name, change):
    def damage(cohort):
        (cohort / name).write_text(change((cohort / name).read_text()))

    return damage


def add_key(line):
    """A damage of config.yaml: a further line, in place of the one that sets the same key."""
    key = line.split(":")[0]

    def change(text):
        kept = [old for old in text.splitlines() if not old.startswith(f"{key}:")]
        return "\n".join([*kept, line]) + "\n"

    return change_text("config.yaml", change)


def with_value(row, column, value, dtype):
    def change(counts):
        changed = counts.astype(dtype)
        changed[row, column] = value
        return changed

    return change


def with_other_names(text):
    return text.replace("SIM0", "ERR0")


def with_first_twice(names):
    return np.concatenate([names[:1], names[:-1]])


def with_first_bin_last(contigs):
    return np.roll(contigs, -1)


def without_genes(cohort):
    (cohort / "plasmid/genes.npy").unlink()
    add_key("plasmid_gene_coords_path: null")(cohort)


def emptied(cohort):
    for name in ("counts.npy", "sample_ids.npy"):
        np.save(cohort / STORE / name, np.load(cohort / STORE / name)[:0])


DAMAGES = {
    "counts wider than contigs": (change_array("contigs.npy", lambda a: a[:-1]), "300 columns but contigs.npy has 299"),
    "counts narrower than contigs": (change_array("counts.npy", lambda a: a[:, :-3]), "297 columns but contigs.npy"),
    "negative counts": (change_array("counts.npy", with_value(3, 5, -1, np.int64)), "row 3, column 5 is -1"),
    "NaN counts": (change_array("counts.npy", with_value(3, 5, np.nan, np.float64)), "dtype is float64"),
    "float counts": (change_array("counts.npy", lambda a: a / 2), "dtype is float64; counts are whole numbers"),
    "counts of one dimension": (change_array("counts.npy", np.ravel), "has 1 dimensions"),
    "sample twice": (change_array("sample_ids.npy", with_first_twice), "sample 'SIM0000001' stands in rows 0, 1"),
    "fewer names than rows": (change_array("sample_ids.npy", lambda a: a[1:]), "29 sample names for 30"),
    "empty store": (emptied, "the store is empty"),
    "all samples zero": (change_array("counts.npy", np.zeros_like), "0 of 30 samples have a median of at least one"),
    "store without counts": (lambda cohort: (cohort / STORE / "counts.npy").unlink(), "counts.npy: no such file"),
    "damaged counts": (lambda cohort: (cohort / STORE / "counts.npy").write_bytes(b"0"), "not a readable .npy array"),
    "bins out of order": (change_array("contigs.npy", with_first_bin_last), "ascending order"),
    "plasmid names twice": (change_array("sample_ids.npy", with_first_twice, "plasmid"), "stands in rows 0, 1"),
    "negative plasmid counts": (change_array("counts.npy", with_value(0, 1, -2, np.int32), "plasmid"), "is -2"),
    "plasmid store of other samples": (
        change_array("sample_ids.npy", lambda a: np.char.replace(a, "SIM", "ERR"), "plasmid"),
        "no sample in common",
    ),
    "plasmid columns that nothing names": (without_genes, "has no genes.npy"),
    "ground truth of other samples": (
        lambda cohort: [
            change_text(f"truth/{name}", with_other_names)(cohort)
            for name in ("amrfinder_gt.tsv", "kleborate_gt.tsv", "metadata.tsv")
        ],
        "no called sample is in the ground truth",
    ),
    "Kleborate table of other samples": (
        change_text("truth/kleborate_gt.tsv", with_other_names),
        "no sample in common",
    ),
    "count that is no number": (
        change_text("truth/kleborate_gt.tsv", lambda text: text.replace("\t1", "\tone", 1)),
        "line 2: column 'blaSHV' is 'one'",
    ),
    "gene on another contig": (
        change_text("gene_coords.tsv", lambda text: text.replace("NC_016845.1", "NC_000913.3")),
        "lies on contig NC_000913.3, but the store has NC_016845.1",
    ),
    "gene beyond the contig": (
        change_text("gene_coords.tsv", lambda text: text + "late\tNC_016845.1\t900000\t900900\n"),
        "lies outside the bins",
    ),
    "gene without a flank": (add_key("cnv_flank_padding: 5000000"), "lower cnv_flank_padding"),
    "unknown key": (add_key("epoch: 3"), "unknown key 'epoch'; did you mean 'epochs'?"),
    "wrong type": (add_key("epochs: ten"), "key 'epochs' = 'ten'"),
    "impossible value": (add_key("hmm_self_transition: 1.5"), "key 'hmm_self_transition' = 1.5"),
    "missing file": (add_key("gene_coords_path: nowhere.tsv"), "nowhere.tsv': no such file"),
    "missing store": (add_key("store_path: nowhere"), "nowhere': no such folder"),
    "key twice": (change_text("config.yaml", lambda text: text + "out_dir: other\n"), "key 'out_dir' stands twice"),
    "no YAML": (change_text("config.yaml", lambda _: "a: [1\n"), "not valid YAML"),
    "results in the store": (add_key(f"out_dir: {STORE}/run"), "results go elsewhere than counts"),
    "unknown architecture": (
        add_key("architecture: 07_transformer"),
        "there is 06_conv_vae, 10_count_model, pca_baseline",
    ),
    "unknown segmenter": (add_key("hmm: 03_hmm"), "hmm: '03_hmm' is unknown; there is 02_gaussian_hmm"),
    "architecture of a stranger": (add_key("architecture: nowhere:Model"), "export COPYFOLD_PLUGINS=nowhere"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_bad_input_is_one_line_and_leaves_nothing(own_cohort, copyfold, name):
    damage, message = DAMAGES[name]
    damage(own_cohort)
    complaint = copyfold("cnv", "train", own_cohort / "config.yaml", "--quiet", "--device", "cpu").complaint()
    assert message in complaint
    assert not (own_cohort / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "epochs"), "--set epochs: must be key=value"),
        (("--set", "=3"), "must be key=value"),
        (("--set", "epochs=ten"), "key 'epochs' = 'ten'"),
        (("--set", "nonsense=1"), "unknown key 'nonsense'"),
        (("--set", "architecture=nothing"), "there is 06_conv_vae, 10_count_model, pca_baseline"),
        (("--device", "gpu"), "--device gpu: must be auto, cpu, cuda, cuda:N or mps"),
        (("--device", "cuda:99"), "--device cuda:99: this machine has none"),
    ],
)
def test_bad_options_are_one_line_and_leave_nothing(own_cohort, copyfold, arguments, message):
    assert message in copyfold("cnv", "train", own_cohort / "config.yaml", *arguments).complaint()
    assert not (own_cohort / "run").exists()


def test_a_missing_configuration_is_one_line(copyfold, tmp_path):
    assert "nowhere.yaml: no such file" in copyfold("cnv", "train", tmp_path / "nowhere.yaml").complaint()
    assert "cannot be read" in copyfold("cnv", "train", tmp_path).complaint()


class Bomb:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (os.mkdir, (self.target,))


@pytest.mark.parametrize("name", ["counts.npy", "contigs.npy", "sample_ids.npy"])
def test_code_in_a_pickled_array_does_not_run(own_cohort, copyfold, tmp_path, name):
    path = own_cohort / STORE / name
    trap = np.empty(np.load(path).shape, dtype=object)
    trap[...] = "a"
    trap.flat[0] = Bomb(str(tmp_path / "code-ran"))
    np.save(path, trap, allow_pickle=True)
    complaint = copyfold("cnv", "train", own_cohort / "config.yaml").complaint()
    assert "may run code" in complaint
    assert not (tmp_path / "code-ran").exists()
    assert not (own_cohort / "run").exists()


@pytest.mark.parametrize("architecture", ["pca_baseline", "06_conv_vae"])
def test_a_sample_without_reads_is_reported_and_not_called(own_cohort, copyfold, architecture):
    counts = np.load(own_cohort / STORE / "counts.npy")
    counts[4] = 0
    np.save(own_cohort / STORE / "counts.npy", counts)
    arguments = ("--set", f"architecture={architecture}", "--set", "epochs=2")
    done = copyfold("cnv", "train", own_cohort / "config.yaml", *arguments).succeeded()
    run = own_cohort / "run"
    assert any("SIM0000005" in warning and "−1" in warning for warning in done.warnings)
    assert '"samples_without_depth": [\n        "SIM0000005"\n      ]' in (run / "run.json").read_text()
    chromosomal = pd.read_csv(run / "gene_calls.tsv", sep="\t", index_col="sample_id")
    plasmids = pd.read_csv(run / "plasmid_gene_calls.tsv", sep="\t", index_col="sample_id")
    for calls, ratio in ((chromosomal, "crr_"), (plasmids, "pcn_")):
        genes = [gene for gene in calls.columns if f"{ratio}{gene}" in calls.columns]
        assert genes
        assert (calls.loc["SIM0000005", genes] == -1).all()
        assert calls.loc["SIM0000005", [f"{ratio}{gene}" for gene in genes]].isna().all()
        assert (calls[genes].drop("SIM0000005") >= 0).mean(axis=None) > 0.8
    assert np.isfinite(np.load(run / "reconstructions.npy")).all()
    assert np.isfinite(np.load(run / "latents.npy")).all()


# Where results go


def refused_out_dir(cohort, copyfold, out_dir):
    arguments = ("--set", "architecture=pca_baseline", "--quiet", "--set", f"out_dir={out_dir}")
    return copyfold("cnv", "train", cohort / "config.yaml", *arguments).complaint()


def test_an_out_dir_below_a_file_is_refused(cohort, copyfold, tmp_path):
    (tmp_path / "file").write_text("mine")
    for out_dir in (tmp_path / "file/run", tmp_path / "file"):
        assert "cannot be used as out_dir" in refused_out_dir(cohort, copyfold, out_dir)
    assert (tmp_path / "file").read_text() == "mine"


def test_an_out_dir_where_nobody_may_write_is_refused(cohort, copyfold):
    assert "cannot be used as out_dir" in refused_out_dir(cohort, copyfold, "/proc/run")


def test_an_out_dir_on_a_read_only_disk_is_refused(cohort, copyfold, mount_tmpfs):
    disk = mount_tmpfs("size=1m,ro")
    assert "Read-only file system" in refused_out_dir(cohort, copyfold, disk / "run")


@pytest.mark.parametrize(
    ("architecture", "share"),
    [("pca_baseline", share) for share in (0.01, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.98)]
    + [("06_conv_vae", share) for share in (0.1, 0.4, 0.8, 0.98)],
)
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(
    cohort, copyfold, mount_tmpfs, request, architecture, share
):
    run = request.getfixturevalue({"pca_baseline": "pca_run", "06_conv_vae": "vae_run"}[architecture]).path
    page = os.sysconf("SC_PAGE_SIZE")
    results = [path for path in run.iterdir() if path.name != "report.html"]  # a run survives a report that has no room
    pages = sum(-(-path.stat().st_size // page) for path in results)
    disk = mount_tmpfs(f"size={max(1, round(pages * share)) * page}")
    arguments = ("cnv", "train", cohort / "config.yaml", "--set", f"out_dir={disk}/run", "--device", "cpu")
    arguments += ("--set", f"architecture={architecture}", "--set", "epochs=3", "--quiet", "--resume")

    assert "No space left on device" in copyfold(*arguments).complaint()
    assert not [path for path in (disk / "run").iterdir() if path.suffix == ".partial"]

    subprocess.run(["mount", "-o", "remount,size=100m", disk], check=True)
    copyfold(*arguments).succeeded()
    for name in ("reconstructions.npy", "latents.npy", "segments.parquet", "gene_calls.tsv", "plasmid_gene_calls.tsv"):
        assert (disk / "run" / name).read_bytes() == (run / name).read_bytes(), name


def test_an_out_dir_that_holds_another_run_is_refused_and_left_alone(pca_run, cohort, copyfold, tmp_path):
    run = shutil.copytree(pca_run.path, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    train = ("cnv", "train", cohort / "config.yaml", "--set", f"out_dir={run}", "--set", "architecture=pca_baseline")
    assert "add --resume" in copyfold(*train).complaint()
    for other in (("--set", "seed=1"), ("--set", "seed=1", "--resume"), ("--set", "kpsc_meta_path=null", "--resume")):
        assert "holds another run" in copyfold(*train, *other).complaint()
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_an_out_dir_whose_inputs_have_changed_is_not_resumed(own_cohort, copyfold):
    train = ("cnv", "train", own_cohort / "config.yaml", "--set", "architecture=pca_baseline", "--resume")
    copyfold(*train).succeeded()
    counts = np.load(own_cohort / STORE / "counts.npy")
    counts[0, 0] += 1
    np.save(own_cohort / STORE / "counts.npy", counts)
    assert "the inputs have changed" in copyfold(*train).complaint()


@pytest.mark.parametrize("name", ["latents.npy", "gene_calls.tsv", "checkpoint.pth"])
def test_an_out_dir_with_results_of_others_is_refused_and_left_alone(own_cohort, copyfold, name):
    (own_cohort / "run").mkdir()
    (own_cohort / "run" / name).write_text("theirs")
    for resume in ((), ("--resume",)):
        complaint = copyfold("cnv", "train", own_cohort / "config.yaml", *resume).complaint()
        assert f"holds {name} but no run.json" in complaint
    assert (own_cohort / "run" / name).read_text() == "theirs"
    assert not (own_cohort / "run/run.json").exists()


def test_a_damaged_record_is_refused_and_left_alone(own_cohort, copyfold):
    (own_cohort / "run").mkdir()
    (own_cohort / "run/run.json").write_text("{")
    train = ("cnv", "train", own_cohort / "config.yaml")
    assert "run.json: cannot be read as JSON" in copyfold(*train, "--resume").complaint()
    assert (own_cohort / "run/run.json").read_text() == "{"


@pytest.mark.parametrize(
    ("name", "content", "stage"),
    [
        ("checkpoint.pth", b"nothing", "infer"),
        ("reconstructions.npy", b"nothing", "segment"),
        ("segments.parquet", b"nothing", "call"),
        ("gene_calls.tsv", b"", "evaluate"),
        ("checkpoint.pth", None, "infer"),
        ("reconstructions.npy", None, "segment"),
        ("segments.parquet", None, "call"),
        ("gene_calls.tsv", None, "evaluate"),
    ],
)
def test_a_damaged_or_missing_artefact_is_named(own_run, copyfold, name, content, stage):
    (own_run / name).unlink()
    if content is not None:
        (own_run / name).write_bytes(content)
    assert name in copyfold("cnv", stage, own_run, "--quiet").complaint()


# Stores and cohorts


@pytest.fixture
def gatk_table(tmp_path):
    path = tmp_path / "first.counts.tsv"
    rows = "".join(f"chr\t{start + 1}\t{start + 1000}\t{40 + start // 1000}\n" for start in range(0, 5000, 1000))
    path.write_text(f"CONTIG\tSTART\tEND\tCOUNT\n{rows}")
    return path


def test_a_store_is_not_built_over_what_is_there(gatk_table, copyfold, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store/mine").write_text("mine")
    assert "exists already" in copyfold("cnv", "store", "build", gatk_table, "-o", tmp_path / "store").complaint()
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("\t41\n", "\t-1\n"), "line 3: COUNT is '-1'"),
        (lambda text: text.replace("\t41\n", "\t4.5\n"), "line 3: COUNT is '4.5'"),
        (lambda _: "", "first.counts.tsv"),
    ],
)
def test_a_store_is_not_built_from_a_bad_table(gatk_table, copyfold, tmp_path, change, message):
    gatk_table.write_text(change(gatk_table.read_text()))
    assert message in copyfold("cnv", "store", "build", gatk_table, "-q", "-o", tmp_path / "store").complaint()
    assert [path.name for path in tmp_path.iterdir()] == [gatk_table.name]


def test_a_cohort_is_not_simulated_over_what_is_there(copyfold, tmp_path):
    (tmp_path / "mine").write_text("mine")
    for out in (tmp_path, tmp_path / "mine"):
        assert "exists already" in copyfold("cnv", "simulate", out, "-n", 2).complaint()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_cohort_is_not_simulated_from_settings_that_are_not_there(copyfold, tmp_path):
    arguments = ("cnv", "simulate", tmp_path / "cohort", "-n", 2, "-q")
    assert "--settings medium: must be easy or hard" in copyfold(*arguments, "--settings", "medium").complaint()
    assert "nowhere.tsv" in copyfold(*arguments, "--like", tmp_path / "nowhere.tsv").complaint()
    assert not list(tmp_path.iterdir())
