"""titin.toml and the working directory, which may be a stranger's: nothing is run, no safeguard switched off."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from titin.cli import COMMANDS, _load, main
from titin.options import ByHand
from titin.settings import read_settings

# every option of every command: what titin.toml may set, and what it may not
FREE = {
    "age", "age_unit", "as_json", "batch_key", "cell_type", "cell_type_level", "cell_types", "cells", "chemistry",
    "class_cells",
    "class_donors", "clustering", "compare", "compression", "contrast", "counts", "coverage", "croissant", "debug",
    "donor", "donors", "dry_run", "figures", "file_format", "flavor", "genes", "gmt", "images", "labels", "layer",
    "learning_curve", "levels", "listing",
    "males_only", "max_epochs", "memory", "message", "method", "min_cells", "min_counts", "min_dist", "min_donor_cells",
    "min_donors",
    "min_sample_cells", "n_cells", "n_comps", "n_genes", "n_latent", "n_neighbors", "n_top_genes", "no_enrichment",
    "no_browser", "no_figures", "no_obs", "no_obsm", "no_project", "no_report", "no_shuffle", "obs", "obsm", "on",
    "output", "parts",
    "permutations", "perplexity", "port", "preset", "private", "project", "protocol", "quiet", "raw", "report",
    "resolution", "revision", "sample", "save_pseudobulk", "seed", "sex", "source", "splits", "tag", "tasks",
    "technology", "theta", "threads", "tissue", "verbose", "where", "which_genes", "without_flagged",
    "write", "layers", "modalities", "with_raw", "keep_all", "bootstraps", "edges", "evaluate",
    "min_targets", "network_file", "per_cell", "reference", "regulators",
    "assigned_from", "at_once", "folds", "vote", "study", "studies", "join", "merge_counts", "gene_aliases",
}  # fmt: skip
BY_HAND = {
    "allow", "allow_negative", "anywhere", "checkpoint", "checks", "clean", "clock", "cluster", "data",
    "drop_confounded", "exact_ages", "follow_links",
    "force", "formula", "host", "keep", "level", "licence", "make_unique", "models", "resume", "save_clock",
    "save_model", "model", "space", "celltypist", "backend", "drop", "table", "terms", "storage_options",
}  # fmt: skip


def every_parameter() -> list[tuple[str, click.Parameter]]:
    def walk(command: click.Command, name: str) -> list[tuple[str, click.Parameter]]:
        inner = command.commands.items() if isinstance(command, click.Group) else ()
        own = [(name, parameter) for parameter in command.params]
        return own + [pair for below, found in inner for pair in walk(found, f"{name} {below}")]

    return [pair for name in COMMANDS for pair in walk(_load(name), name)]


def refused(text: str, capsys: pytest.CaptureFixture[str]) -> str:
    Path("titin.toml").write_text(text, "utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["doctor"])
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.fixture(autouse=True)
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_of_every_option_it_is_decided_whether_settings_may_give_it() -> None:
    options = {
        str(parameter.name): set() for _, parameter in every_parameter() if isinstance(parameter, click.Option)
    }  # fmt: skip
    for name, parameter in every_parameter():
        if isinstance(parameter, click.Option) and (name.split()[0], parameter.name) != ("age", "level"):
            options[str(parameter.name)].add(isinstance(parameter, ByHand))
    assert {name for name, found in options.items() if found == {False}} == FREE
    assert {name for name, found in options.items() if found == {True}} == BY_HAND


@pytest.mark.parametrize("name", sorted(BY_HAND))
def test_what_is_given_by_hand_is_refused_with_its_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    where = next(command.split()[0] for command, parameter in every_parameter()
                 if parameter.name == name and isinstance(parameter, ByHand))  # fmt: skip
    for text in (f"{name} = true", f"[{where}]\n{name} = true"):
        said = refused(text, capsys)
        assert f"'{name}'" in said
        assert "by hand" in said


@pytest.mark.parametrize("name", sorted({str(p.name) for _, p in every_parameter() if isinstance(p, click.Argument)}))
def test_settings_give_no_arguments(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "by hand" in refused(f"{name} = 'there'", capsys)


@pytest.mark.parametrize("name", ["output", "preset", "donors", "gmt", "genes", "source"])
@pytest.mark.parametrize("text", ["/etc/passwd", "@/etc/passwd", "../notes", "a/../../notes", "link", "link/x"])
def test_what_settings_name_lies_in_their_folder(
    name: str, text: str, stranger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (stranger.parent / "notes").mkdir()
    (stranger / "link").symlink_to(stranger.parent / "notes")
    own = ["own/file"] if name == "gmt" else "own/file"
    assert "lies in another folder" in refused(f"{name} = {[text] if name == 'gmt' else text!r}", capsys)
    Path("titin.toml").write_text(f"{name} = {own!r}\n")
    assert read_settings(COMMANDS, _load)["build"][name] == own


VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def as_toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" if c < " " or c in '"\\\x7f' else c for c in value) + '"'
    if isinstance(value, list):
        return f"[{', '.join(map(as_toml, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{as_toml(k)} = {as_toml(v)}" for k, v in value.items()) + "}"
    return repr(value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.sampled_from(sorted(FREE | BY_HAND)), VALUES, st.sampled_from(["", "[info]\n", "[age]\n", "[build]\n"]))
def test_no_setting_ends_in_a_traceback(name: str, value: object, section: str) -> None:
    try:
        Path("titin.toml").write_text(f"{section}{name} = {as_toml(value)}\n", "utf-8")
    except UnicodeEncodeError:
        return
    for command in (["info", "none"], ["age", "de", "none"], ["build", "none"]):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code in (0, 2)


@pytest.mark.parametrize("text", ["donors = false", "threads = true", "quiet = 1", 'quiet = "yes"'])
def test_a_value_of_another_kind_is_refused(stranger: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    Path("titin.toml").write_text(f"[build]\n{text}\n", "utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["build", "none"])
    assert ended.value.code == 2
    assert text.split()[0].strip() in capsys.readouterr().err


def test_a_pipe_is_no_file_of_settings(stranger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("titin.toml")
    with pytest.raises(SystemExit):
        main(["doctor"])
    assert "not a regular file" in capsys.readouterr().err


def test_whoever_runs_a_command_from_python_keeps_the_environment() -> None:
    before = dict(os.environ)
    for words in (["info", "none"], ["--help"], ["doctor", "--json"]):
        with contextlib.suppress(SystemExit):
            main(words)
    assert dict(os.environ) == before


BEFORE = {  # what Python itself imports for `python -m`, before a line of titin has run
    "titin", *(name.partition(".")[0] for name in subprocess.run(
        [sys.executable, "-I", "-c", "import runpy, sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True,
    ).stdout.split()),
}  # fmt: skip


@pytest.mark.parametrize("way", ["titin", "python -m titin"])
def test_nothing_of_the_working_directory_is_imported(
    way: str, stranger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Modules of every name that titin or a library of it imports, each of which would leave a trace."""
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    names = {*sys.stdlib_module_names, "click", "numpy", "pandas", "pyarrow", "yaml", "rich", "numba", "h5py", "scipy"}
    script = Path(sys.executable).with_name("titin")
    if way == "titin" and not script.exists():
        pytest.skip("titin is not installed beside this Python")
    command = [script] if way == "titin" else [sys.executable, "-m", "titin"]
    for name in names if way == "titin" else names - BEFORE:
        (stranger / f"{name}.py").write_text(f"open({str(stranger.parent / 'ran')!r}, 'a').write({name!r} + '\\n')\n")
    (stranger / ".numba_config.yaml").write_text("cache_dir: evil\nchrome_trace: evil.json\n")
    for arguments in (
        ["doctor"],
        ["info", "none"],
        ["demo", "-o", "demo", "--n-cells", "200", "--n-genes", "150", "-q"],
    ):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode in (0, 2), done.stderr
    assert not (stranger.parent / "ran").exists(), (stranger.parent / "ran").read_text()
    assert not list(stranger.glob("evil*"))
