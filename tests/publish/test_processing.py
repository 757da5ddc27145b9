"""``data_processing.py`` makes a dataset again: it is run, and the files are the same."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

import titin
from titin.publish import processing, write_card, write_public_copy
from titin.publish.upload import public_copy

N, GENES = 100, 60
DONORS = "donor,age\nD0,41.5\nD1,52\nD2,67\nD3,23\n"


def make_source(folder: Path, name: str = "atlas.h5ad") -> Path:
    rng = np.random.default_rng(0)
    rows = np.arange(N)
    obs = pd.DataFrame(index=[f"cell{i}" for i in rows])
    obs["donor_id"] = pd.Categorical([f"D{i % 4}" for i in rows])
    obs["cell_type"] = pd.Categorical(np.array(["B cell", "T cell"])[rows % 2])
    obs["age"] = np.array([41.5, 52, 67, 23])[rows % 4]
    counts = rng.poisson(1.0, (N, GENES)).astype("f4")
    atlas = anndata.AnnData(counts, obs, pd.DataFrame(index=[f"GENE{i}" for i in range(GENES)]))
    atlas.write_h5ad(folder / name)
    return folder / name


def run(script: Path, *arguments: object) -> subprocess.CompletedProcess:
    """Run a script by itself, as whoever downloaded it would."""
    own = shutil.copy(script, script.parent.parent / "again.py")
    return subprocess.run([sys.executable, own, *map(str, arguments)], capture_output=True, text=True, check=False)


def tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_source(tmp_path)


def built(source: Path, **options: object) -> Path:
    return titin.build(source, source.parent / "dataset", project=options.pop("project", ()), **options).path


def test_a_build(source, tmp_path):
    (tmp_path / "donors.csv").write_text(DONORS)
    folder = built(source, seed=3, roles={"age": "none"}, donors=tmp_path / "donors.csv", tissue="blood", licence="mit",
                   project=["pca"])  # fmt: skip
    write_card(folder, images=False)
    done = run(folder / processing.FILE, source, tmp_path / "again", tmp_path / "donors.csv")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "9 files are the same\n"
    assert tables(tmp_path / "again") == tables(folder)
    assert (tmp_path / "again" / processing.FILE).read_text() == (folder / processing.FILE).read_text()


def test_what_was_done_since_is_done_again(source, tmp_path):
    folder = built(source)
    write_card(folder, images=False)
    labels = titin.open(folder).obs[["cell_type"]].astype(str) + " (new)"
    labels.assign(batch="x").to_csv(tmp_path / "labels.csv")
    titin.relabel(folder, tmp_path / "labels.csv")
    titin.set_roles(folder, {"sample": "batch"})
    titin.add_embeddings(folder, ["pca"], seed=5, pca={"n_comps": 4})
    done = run(folder / processing.FILE, source, tmp_path / "again", tmp_path / "labels.csv")
    assert done.returncode == 0, done.stderr
    assert tables(tmp_path / "again") == tables(folder)
    assert not titin.diff(folder, tmp_path / "again")


@pytest.mark.parametrize("exact", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_published_copy(source, tmp_path, exact):
    folder = built(source, licence="mit")
    with public_copy(folder, "me/atlas", "mit", exact_ages=exact) as (copy, _):
        published, script = tables(copy), (copy / processing.FILE).read_text()
    (tmp_path / "got").mkdir()
    (tmp_path / "got" / processing.FILE).write_text(script)
    done = run(tmp_path / "got" / processing.FILE, source, tmp_path / "again")
    assert done.returncode == 0, done.stderr
    assert tables(tmp_path / "again.public") == published
    assert (tables(tmp_path / "again") == published) == exact


def test_other_files_are_refused_before_anything_is_done(source, tmp_path):
    folder = built(source)
    write_card(folder, images=False)
    labels = titin.open(folder).obs[["cell_type"]].astype(str) + " (new)"
    labels.to_csv(tmp_path / "labels.csv")
    titin.relabel(folder, tmp_path / "labels.csv")
    script = folder / processing.FILE
    other = make_source(tmp_path, "other.h5ad")
    with other.open("ab") as file:
        file.write(b"x")
    done = run(script, other, tmp_path / "again", tmp_path / "labels.csv")
    assert done.returncode == 1
    assert "is not the file that the dataset was made from" in done.stderr
    done = run(script, source, tmp_path / "again")
    assert "give as well: labels.csv" in done.stderr
    (tmp_path / "labels.csv").write_text("cell_id,cell_type\ncell1,x\n")
    assert "labels.csv is not the file" in run(script, source, tmp_path / "again", tmp_path / "labels.csv").stderr
    assert not (tmp_path / "again").exists()


def test_other_bytes_are_named(source, tmp_path):
    folder = built(source)
    write_card(folder, images=False)
    script = folder / processing.FILE
    sums = titin.open(folder).manifest.files
    name = next(name for name in sums if name.endswith("sample_metadata.parquet"))
    script.write_text(script.read_text().replace(sums[name]["sha256"], "0" * 64))
    done = run(script, source, tmp_path / "again")
    assert done.returncode == 1
    assert f"these files differ: {name}" in done.stderr


WORDS = ['"""', "'''", "\\", "{source}", "$(reboot)", "\u202e", "é\n", "__import__('os')"]


@pytest.mark.parametrize("word", WORDS)
def test_words_of_strangers_are_words(source, word):
    """They stand in the script as text and nothing else, whatever they are."""
    manifest = titin.open(built(source)).manifest
    manifest.source["name"] = manifest.settings["roles"] = word
    manifest.settings |= {"roles": {"donor": word}, "donors": word, "no_obs": [word], "card": {"license": word}}
    manifest.obs["relabelled"] = [{"name": word, "columns": [word], "dropped": [word]}]
    tree = ast.parse(processing.processing_script(manifest, True, processing.PublicCopy(word, False)))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert texts.count(word) >= 8
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert calls <= {
        "hashlib.file_digest", "path.open", "path.is_file", "sha256", "sys.exit", "Path", "refuse_other", "main",
        "print", "tables.items", "tables.get", "TABLES.get", "FILES.items", "', '.join", "len", "titin.build",
        "titin.relabel",
        "titin.set_roles", "titin.publish.write_card", "titin.publish.write_public_copy",
        "hashlib.file_digest(file, 'sha256').hexdigest",
    }  # fmt: skip


def test_a_public_copy_is_not_written_over(source, tmp_path):
    folder = built(source, licence="mit")
    (tmp_path / "dataset.public").mkdir()
    with pytest.raises(titin.TitinError, match="is there already"):
        write_public_copy(folder, "me/atlas")
