"""Every command on studies as people have them: an answer or a sentence, and never a traceback."""

import contextlib
import importlib.util
import io
import json
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from small_clock import write_small_clock
from study_tables import studies
from titin.ageing.catalogue import ANALYSES
from titin.atlas import open_atlas
from titin.cli import COMMANDS, main

# after each of these, the command's words and the dataset
LOOKS = [
    ["info"],
    ["validate", "--source", "SOURCE"],
    ["roles"],
    ["roles", "--age", "none"],
    ["card", "--force"],
    ["publish", "me/study", "--dry-run"],
    ["export", "--format", "h5ad", "-o", "again.h5ad", "--force"],
    ["export", "--format", "zarr", "-o", "again.zarr", "--force"],
    ["export", "--format", "mtx", "-o", "mtx", "--force"],
    ["export", "--format", "wide", "-o", "wide.parquet", "--force"],
    ["embed", "pca"],
    ["export", "--format", "cellxgene", "--terms", "terms.toml", "-o", "portal.h5ad", "--force"],
    ["diff", "DATASET"],
    ["relabel", "--obs", "labels.csv"],
    ["subset", "-o", "part", "--force"],
    ["merge", "part", "--study-name", "one", "--study-name", "two", "-o", "both", "--force"],
]
ANSWERS = [
    *(["age", analysis.name, "--preset", "muscle"] for analysis in ANALYSES),
    ["age", "tables"],
    ["bench", "--permutations", "5", "--model", "mean", "--model", "pls", "--no-figures"],
    ["predict", "--clock", "mine.clock"],
    ["annotate", "--force"],
    ["network", "--network", "edges.csv", "--min-targets", "1", "--bootstraps", "2", "--evaluate", "--force"],
    ["report"],
    ["site", "--force"],
]
# a failure is told as it was found: to make it smaller takes minutes
HUNDRED = settings(max_examples=100, derandomize=True, suppress_health_check=list(HealthCheck),
                   phases=[Phase.explicit, Phase.generate], print_blob=True)  # fmt: skip


def titin(*arguments: str) -> tuple[int, str, str]:
    """Run a command in this process; its exit code, stdout and stderr."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(list(arguments))
        except SystemExit as done:
            code = int(done.code or 0)
    return code, out.getvalue(), err.getvalue()


def answered(*arguments: str) -> int:
    """Run a command; it is fine, finds problems, or says in words what is wrong. Return its exit code."""
    code, out, err = titin(*arguments, "--json")
    assert code in (0, 1, 2), f"{arguments}: {code}\n{err}"
    assert "Traceback" not in err, f"{arguments}: {err}"
    if code == 2:
        said = [line for line in err.splitlines() if line.startswith("error: ")]
        assert len(said) == 1, f"{arguments}: {err}"
        assert len(said[0]) > len("error: ") + 10, said
    if out:
        strict_json(out)
    return code


def strict_json(text: str) -> None:
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


def try_all(source: str, commands: list[list[str]], *options: str) -> bool:
    """Build a source in the working directory and run commands on the dataset; return whether it could be built."""
    dataset = f"{source}.dataset"
    write_small_clock(Path("mine.clock"), ["GENE0", "XIST"])
    Path("edges.csv").write_text("source,target,weight\nGENE0,GENE1,1\nGENE0,XIST,-1\nXIST,GENE2,1\n")
    if answered("build", source, "-o", dataset, *options) != 0:
        return False
    open_atlas(dataset).obs.to_csv("labels.csv")
    for words in commands:
        head = 2 if words[0] == "age" else 1
        known = {"SOURCE": source, "DATASET": dataset}
        answered(*words[:head], dataset, *(known.get(word, word) for word in words[head:]))
    for document in Path().rglob("*.json"):
        if ".zarr" not in str(document):
            strict_json(document.read_text("utf-8"))
    return True


def try_study(study: ad.AnnData, commands: list[list[str]]) -> None:
    """Try all on a study in an empty folder."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        with warnings.catch_warnings(), ad.settings.override(allow_write_nullable_strings=True):
            warnings.simplefilter("ignore")  # anndata has an opinion on some names
            study.write_h5ad("study.h5ad")
        if try_all("study.h5ad", commands, "--tissue", "muscle") and Path("again.h5ad").is_file():
            first, second = ad.read_h5ad("study.h5ad"), ad.read_h5ad("again.h5ad")
            pd.testing.assert_frame_equal(second.obs, first.obs)
            pd.testing.assert_frame_equal(second.var, first.var)
            assert (first.X != second.X).nnz == 0


@pytest.fixture(scope="module", autouse=True)
def without_datasets() -> Iterator[None]:
    """The library `datasets` takes five seconds to come up, for each validation in a process of its own."""
    find = importlib.util.find_spec
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            importlib.util, "find_spec", lambda name, *rest: None if name == "datasets" else find(name, *rest)
        )
        yield


# in two classes, which two workers take


class TestOneHundredStudies:
    """The whole command line, on studies drawn at random: an hour."""

    @pytest.mark.long
    @HUNDRED
    @given(studies(1))
    def test_every_command(self, study: ad.AnnData) -> None:
        try_study(study, [*LOOKS, *ANSWERS])


class TestAnotherHundredStudies:
    """The same, on others."""

    @pytest.mark.long
    @HUNDRED
    @given(studies(2))
    def test_every_command(self, study: ad.AnnData) -> None:
        try_study(study, [*LOOKS, *ANSWERS])


@pytest.mark.slow
@settings(HUNDRED, max_examples=12)
@given(studies(3))
def test_every_command_on_a_dozen_studies(study: ad.AnnData) -> None:
    try_study(study, [*LOOKS, *ANSWERS])


@settings(HUNDRED, max_examples=2)
@given(studies())
def test_every_command_on_a_few_studies(study: ad.AnnData) -> None:
    try_study(study, [*LOOKS, *ANSWERS])


CASES = ["01_seuratdisk_var_unencoded", "04_tenx_flex_target_sets", "09_log2_scran", "10_cpm_not_logged",
         "17_mouse_age_units", "18_slashes", "26_cellxgene_ids", "29_design_traps", "32_uns_odd",
         "41_seurat_v5_metadata", "43_few_units", "44_missing_labels", "45_protocol_na", "47_role_traps",
         "49_age_numeric_other_unit"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_of_files_as_people_meet_them(case: str, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_common.py", f"{case}.py"):
        if not (shared / "data" / "cases" / name).is_file():
            pytest.skip(f"needs {name} of the shared files")
        shutil.copy(shared / "data" / "cases" / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    subprocess.run([sys.executable, f"{case}.py"], check=True, capture_output=True)
    made = sorted(path.name for path in Path().iterdir() if path.suffix in (".h5ad", ".h5"))
    assert made
    for source in made:
        assert try_all(source, [*LOOKS, *ANSWERS]), source


def test_no_command_on_a_dataset_is_left_out() -> None:
    tried = {" ".join(words[: 2 if words[0] == "age" else 1]) for words in (*LOOKS, *ANSWERS)}
    apart = {
        "build",
        "batch",
        "age",
        "demo",
        "doctor",
        "explore",
    }  # done above, by parts, of no dataset, or without an end
    assert tried >= set(COMMANDS) - apart
