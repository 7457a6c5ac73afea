"""Modules by name."""

import textwrap

import pytest

from copyfold.cnv.plugins import REGISTRIES
from copyfold.core import registry as registry_module
from copyfold.core.registry import Registry, find_modules_in
from copyfold.errors import PluginError


@pytest.mark.parametrize("kind", list(REGISTRIES))
def test_every_built_in_resolves(kind):
    for name in REGISTRIES[kind].built_in:
        assert callable(REGISTRIES[kind].resolve(name))


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(
        PluginError, match=r"'07_gan' is unknown; there is 06_conv_vae, 10_count_model, pca_baseline, or your own"
    ):
        REGISTRIES["architecture"].resolve("07_gan")


def test_a_users_module_resolves_from_the_working_folder(tmp_path, monkeypatch):
    methods = "".join(f"    def {name}(self): ...\n" for name in ("fit", "load", "infer"))
    (tmp_path / "my_models_for_test.py").write_text("class Mine:\n" + methods)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COPYFOLD_PLUGINS", "others, my_models_for_test")
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    assert REGISTRIES["architecture"].resolve("my_models_for_test:Mine").__name__ == "Mine"


@pytest.mark.parametrize("how", ["PYTHONPATH", "sys.path"])
def test_a_module_on_the_users_path_needs_no_more(tmp_path, monkeypatch, how):
    name = f"module_on_a_users_{how.replace('.', '_').lower()}"
    methods = "".join(f"    def {name}(self): ...\n" for name in ("fit", "load", "infer"))
    (tmp_path / f"{name}.py").write_text("class Mine:\n" + methods)
    monkeypatch.delenv("COPYFOLD_PLUGINS", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    if how == "PYTHONPATH":  # also where the working folder is named there
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.chdir(tmp_path)
    assert REGISTRIES["architecture"].resolve(f"{name}:Mine").__name__ == "Mine"


@pytest.mark.parametrize("allowed", [None, "", "others", "strangers_module_of_a_test.inner"])
def test_a_module_that_a_file_names_does_not_run_unless_the_user_allows_it(tmp_path, monkeypatch, allowed):
    (tmp_path / "strangers_module_of_a_test.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    path = [*__import__("sys").path, "", str(tmp_path)]  # as `python -m copyfold` has it
    monkeypatch.setattr("sys.path", path)
    if allowed is None:
        monkeypatch.delenv("COPYFOLD_PLUGINS", raising=False)
    else:
        monkeypatch.setenv("COPYFOLD_PLUGINS", allowed)
    with pytest.raises(PluginError, match="export COPYFOLD_PLUGINS=strangers_module_of_a_test"):
        REGISTRIES["architecture"].resolve("strangers_module_of_a_test:Name")
    assert not (tmp_path / "ran").exists()


def test_a_folder_is_searched_only_where_the_user_allowed_something(tmp_path, monkeypatch):
    path = list(__import__("sys").path)
    monkeypatch.setattr("sys.path", path)
    for allowed, found in (("", False), ("others", True)):
        monkeypatch.setenv("COPYFOLD_PLUGINS", allowed)
        find_modules_in(tmp_path)
        assert (str(tmp_path) in path) is found
    (tmp_path / "module_beside_others.py").write_text("1 / 0")
    with pytest.raises(PluginError, match="export COPYFOLD_PLUGINS=module_beside_others"):
        REGISTRIES["architecture"].resolve("module_beside_others:Name")


@pytest.mark.parametrize("name", ["no_such_package_xyz:Thing", "json:Thing"])
def test_what_cannot_be_imported_says_so(name, monkeypatch):
    monkeypatch.setenv("COPYFOLD_PLUGINS", "no_such_package_xyz,json")
    with pytest.raises(PluginError, match="cannot be imported"):
        REGISTRIES["hmm"].resolve(name)


def test_an_installed_plugin_resolves_and_cannot_shadow_a_built_in(tmp_path, monkeypatch):
    info = tmp_path / "plug-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        textwrap.dedent("""\
            [copyfold.test_group]
            mine = json:JSONDecoder
            taken = json:JSONDecoder
        """)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = Registry("test", "copyfold.test_group", {"taken": "json:JSONEncoder"})
    assert registry.resolve("mine").__name__ == "JSONDecoder"
    assert registry.resolve("taken").__name__ == "JSONEncoder"
    assert registry_module.Registry is Registry


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("class Mine: pass", "lacks fit, load, infer; it must be a class with the methods fit, load, infer"),
        ("def Mine(): pass", "lacks fit, load, infer"),
        ("class Mine(:", "cannot be imported .SyntaxError"),
        ("1 / 0", "cannot be imported .ZeroDivisionError"),
    ],
)
def test_a_plugin_that_breaks_its_contract_is_refused(tmp_path, monkeypatch, source, message):
    name = f"broken_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source + "\n")
    monkeypatch.setenv("COPYFOLD_PLUGINS", name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    with pytest.raises(PluginError, match=message):
        REGISTRIES["architecture"].resolve(f"{name}:Mine")
