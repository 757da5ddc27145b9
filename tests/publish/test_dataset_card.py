"""The card says what the files hold, for any dataset, and nothing that they do not; its code runs."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from card_parts import code_of, flat, matter_of
from scipy import sparse

from titin.builder import build
from titin.dataset.manifest import Manifest
from titin.errors import OutputError, TitinError
from titin.presets import make_preset
from titin.publish import make_card, write_card
from titin.publish.card import make_facts
from titin.publish.croissant import croissant
from titin.publish.licence import check_licence, licences
from titin.publish.upload import public_copy
from titin.text import size

MUSCLE = re.compile(r"muscle|myofib|sarcopen|kedlian|satellite|intercostal", re.IGNORECASE)


@pytest.fixture(scope="module", params=["whole", "sharded"])
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo with a card written with everything."""
    source = request.getfixturevalue("built" if request.param == "whole" else "sharded")
    folder = Path(shutil.copytree(source, tmp_path_factory.mktemp("card") / source.name))
    write_card(folder, preset="muscle", licence="cc-by-4.0", images=request.param == "whole")
    return folder


@pytest.fixture(scope="module")
def text(dataset: Path) -> str:
    return (dataset / "README.md").read_text("utf-8")


# the YAML block


def test_configs_name_every_parquet_file_once_and_one_default(dataset, text):
    configs = matter_of(text)["configs"]
    listed = [name for config in configs for entry in config["data_files"] for name in entry["path"]]
    assert sorted(listed) == sorted(path.name for path in dataset.glob("*.parquet"))
    assert [config["config_name"] for config in configs if config.get("default")] == ["expression"]


def test_dataset_info_is_what_datasets_computes(built, tmp_path):
    datasets = pytest.importorskip("datasets", reason="needs `pip install datasets`")
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCardData

    write_card(Path(shutil.copytree(built, tmp_path / "d")), images=False)
    data = DatasetCardData(**matter_of((tmp_path / "d" / "README.md").read_text("utf-8")))
    infos = DatasetInfosDict.from_dataset_card_data(data)
    configs = MetadataConfigs.from_dataset_card_data(data)
    assert configs.get_default_config_name() == "expression"
    assert set(infos) == set(configs)
    for name, info in infos.items():
        files = [str(tmp_path / "d" / file) for file in configs[name]["data_files"][0]["path"]]
        loaded = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
        assert info.features == loaded.features
        assert info.splits["train"].num_examples == loaded.num_rows
        assert info.splits["train"].num_bytes == loaded.info.splits["train"].num_bytes
        assert info.download_size == sum(Path(file).stat().st_size for file in files)
        assert info.dataset_size == loaded.info.dataset_size


def test_what_people_search_by(text):
    matter = matter_of(text)
    assert matter["license"] == "cc-by-4.0"
    assert matter["size_categories"] == ["1K<n<10K"]
    assert matter["task_categories"] == ["tabular-classification", "tabular-regression", "feature-extraction"]
    assert {"scRNA-seq", "snRNA-seq", "synthetic", "skeletal-muscle"} <= set(matter["tags"])
    assert matter["language"] == ["en"]


# its numbers


def test_its_tables_are_those_of_the_files(dataset, text):
    manifest = Manifest.read(dataset)
    obs = pd.read_parquet(sorted(dataset.glob("*_sample_metadata*.parquet")))
    rows = re.findall(r"^\| `([^`]+)` \| [^|]+ \| ([\d,]+|–) \| ([\d,]+) \|$", text, re.MULTILINE)
    assert {name: (n, size) for name, n, size in rows} == {
        name: (f"{entry['rows']:,}" if "rows" in entry else "–", f"{entry['bytes']:,}")
        for name, entry in manifest.files.items() if name != "README.md"
    }  # fmt: skip
    for name, n in obs["annotation_level0"].value_counts().head(25).items():
        donors = obs.loc[obs["annotation_level0"] == name, "DonorID"].nunique()
        assert re.search(
            rf"\| `{re.escape(name)}` \| [^|]+ \| {n:,} \| {100 * n / len(obs):.1f} % \| {donors} \|", text
        )
    for name, part in obs.groupby("Age_group", observed=True):
        assert f"| {name} | {len(part):,} | {100 * len(part) / len(obs):.1f} % | {part['DonorID'].nunique()} |" in text
    assert f"| donors | {obs['DonorID'].nunique()} |" in text
    assert f"{manifest.n_cells:,} cells × {manifest.n_genes:,} genes, {manifest.nnz:,} non-zeros" in text
    assert f"{manifest.nnz:,} ({manifest.sparsity:.2%} zeros)" in text


def test_every_column_of_obs_is_described(dataset, text):
    described = text.split("### Cells")[1].split("### Genes")[0]
    for name in pq.read_schema(next(dataset.glob("*_sample_metadata*.parquet"))).names:
        assert f"| `{name}` |" in described
    assert "| `n_counts` | float32 | counts of the cell, as the study recorded them |" in described


def test_the_synthetic_is_called_so(text):
    assert "**These data are made up.**" in text


def test_projections_say_who_made_them(built):
    manifest = Manifest.read(built)
    manifest.obsm["X_umap"]["computed"] = {
        "method": "umap", "parameters": {"n_neighbors": 15, "min_dist": 0.5, "on": "X_pca"}, "seed": 3, "seconds": 12.5,
        "libraries": {"umap-learn": "0.5.9"},
    }  # fmt: skip
    text = make_card(built, manifest)
    assert "computed by titin: umap (n_neighbors 15, min_dist 0.5, on X_pca, seed 3) with umap-learn 0.5.9" in text
    assert "12.5" not in text
    assert re.search(r"\| `X_scVI` \| 30 \| .* \| the source's own; the file does not prove how \|", text)


def test_the_card_depends_on_nothing_but_the_dataset(built, tmp_path):
    moved = Path(shutil.copytree(built, tmp_path / "elsewhere"))
    assert make_card(moved, preset="muscle") == make_card(built, preset="muscle")
    assert str(built) not in make_card(built)


def test_a_card_is_written_before_there_is_a_manifest(built, tmp_path):
    folder, manifest = Path(shutil.copytree(built, tmp_path / "d")), Manifest.read(built)
    (folder / "titin.json").unlink()
    del manifest.files["README.md"]
    assert make_card(folder, manifest) == make_card(built)


# the code


def test_its_python_runs(dataset, text, monkeypatch, tmp_path):
    for package in ("duckdb", "polars", "datasets"):
        pytest.importorskip(package, reason=f"needs `pip install {package}`")
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.chdir(dataset)
    blocks = code_of(text)
    assert len(blocks) == 10  # X and y twice, a reader each, a picture, fractions
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert set(names["cell"]) >= {"cell_id", "genes", "counts"}
    assert names["values"].sum() > 0
    assert names["adata"].X.sum() > 0
    assert names["adata"].var_names[0] == names["adata"].var["gene"].iloc[0]


def test_r_reads_columns_that_there_are(dataset, text):
    (block,) = code_of(text, "r")
    for name in re.findall(r'"([^"]+\.parquet)"', block):
        assert (dataset / name).is_file()


# presets, licences


def test_without_a_preset_nothing_is_said_of_muscle(tmp_path):
    X = sparse.random(40, 30, 0.4, format="csr", dtype="float32", rng=np.random.default_rng(0))
    labels = {"donor": list("abcd") * 10, "cell_type": ["hepatocyte", "Kupffer"] * 20, "age": [30, 40, 50, 60] * 10}
    obs = pd.DataFrame(labels, index=[f"c{i}" for i in range(40)])
    ad.AnnData(X, obs, pd.DataFrame(index=[f"G{i}" for i in range(30)])).write_h5ad(tmp_path / "liver.h5ad")
    folder = build(tmp_path / "liver.h5ad", tmp_path / "liver", tissue="liver", project=()).path
    written = write_card(folder, images=False)
    text = (folder / "README.md").read_text("utf-8")
    assert not MUSCLE.search(text + (folder / "croissant.json").read_text("utf-8"))
    assert written.warnings == ["no licence is stated, so nobody may use the data: --license ID states one"]
    assert "license" not in matter_of(text)
    assert "No licence has been stated" in text
    assert not (folder / "LICENSE").exists()
    assert "30 to 60 years" in text
    assert "X and y" not in text  # four donors are too few to hold a fifth of them out


def test_memory_is_that_of_the_sizes(dataset, text):
    manifest = Manifest.read(dataset)
    n, m = manifest.n_cells, manifest.n_genes
    assert f"| all genes as a dense table (float32) | {size(n * m * 4)} |" in text
    assert f"| all genes as a sparse matrix (CSR, float32) | {size(manifest.nnz * 8 + (n + 1) * 8)} |" in text
    assert f"A dense table takes {size(n * m * 4)}" in text


def test_the_first_lines_lead_to_sections_that_there_are(text):
    (line,) = [line for line in text.splitlines() if line.startswith("Go to: ")]
    titles = re.findall("^#+ (.*)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9-]", "", title.lower().replace(" ", "-")) for title in titles}
    targets = re.findall(r"\]\(#([^)]*)\)", line)
    assert len(targets) == 7
    assert set(targets) <= anchors


def test_the_leaky_score_stands_beside_that_of_donors_held_out(dataset, text, monkeypatch, capsys):
    monkeypatch.chdir(dataset)
    names: dict[str, Any] = {}
    exec(compile(code_of(text.split("## X and y")[1])[0], "README.md", "exec"), names)
    assert len(names["X"]) == len(names["y"]) == len(names["groups"])
    unseen, leaky = (abs(names[name] - names["y"]).mean() for name in ("unseen", "leaky"))
    assert leaky < unseen
    assert str(leaky) in capsys.readouterr().out


@pytest.mark.parametrize(
    "name",
    [
        "human_liver_cellxgene_146x33452", "heart_pseudobulk_mofacell_66x29126", "oligodendroglioma_infercnv",
        *(pytest.param(name, marks=pytest.mark.slow) for name in (
            "glioblastoma_lemur_5000x300", "pbmc_3tech_symphony_1200x1767", "celltypist_sample_559x32786",
        )),
    ],
)  # fmt: skip
def test_real_files_get_true_cards(shared, tmp_path, name):
    source = shared / "data" / "h5ad" / f"{name}.h5ad"
    folder = build(source, tmp_path / "d", project=(), threads=2).path
    text = make_card(folder)
    adata = ad.read_h5ad(source)
    assert not MUSCLE.search(text)
    assert f"| cells | {adata.n_obs:,} |" in text
    assert f"| genes | {adata.n_vars:,} |" in text
    assert yaml.safe_load(text.split("---\n")[1])["configs"]
    manifest = Manifest.read(folder)
    donor = manifest.roles["donor"]
    if donor is None:
        assert "names no donors" in text
        assert "LeaveOneDonorOut" not in text
    else:
        assert f"| donors | {adata.obs[donor].nunique()} |" in text
    for column in manifest.roles["cell_type"]:
        assert f"| cell types (`{column}`) | {adata.obs[column].nunique()} |" in text


def test_a_preset_of_ones_own(built, tmp_path):
    (tmp_path / "mine.toml").write_text(
        '[card]\npretty_name = "Ours"\nlicense = "cc0-1.0"\nlimits = ["Nothing is sure."]\n'
        '[card.study]\nname = "S"\nurl = "u"\nn_cells = 5\n[card.glossary]\nword = "meaning"\n'
    )
    text = make_card(built, preset=tmp_path / "mine.toml")
    assert matter_of(text)["pretty_name"] == "Ours"
    assert matter_of(text)["license"] == "cc0-1.0"
    assert "- Nothing is sure." in text
    assert "| word | meaning |" in text
    assert not re.search("kedlian|sarcopen", text, re.IGNORECASE)
    # kept for the next time, without the file
    folder = Path(shutil.copytree(built, tmp_path / "d"))
    write_card(folder, preset=tmp_path / "mine.toml", images=False)
    (tmp_path / "mine.toml").unlink()
    write_card(folder, images=False)
    assert "# Ours" in (folder / "README.md").read_text("utf-8")


def test_the_size_is_compared_with_the_studys(built, tmp_path):
    manifest = Manifest.read(built)
    preset = make_preset(
        {"card": {"study": {"name": "S", "url": "u", "n_cells": manifest.n_cells, "n_genes": 7, "n_donors": 17}}}
    )
    facts = make_facts(built, manifest, preset=preset)
    facts.__dict__["uns"] = {}  # not made up
    from titin.publish.card import text_of

    assert f"differs from the release in size: {manifest.n_genes:,} of 7 genes." in text_of(facts)


def test_no_such_preset(built):
    with pytest.raises(TitinError, match="there is no preset 'heart'") as error:
        make_card(built, preset="heart")
    assert "muscle" in str(error.value.hint)


def test_licences():
    assert check_licence("CC-BY-4.0") == "cc-by-4.0"
    with pytest.raises(TitinError, match="knows no licence 'cc-by'") as error:
        check_licence("cc-by")
    assert "cc-by-4.0" in str(error.value.hint)
    assert all(name and url.startswith("https://") for name, url in licences().values())


# what is written


def test_the_manifest_describes_what_was_written(dataset):
    manifest = Manifest.read(dataset)
    assert sorted(manifest.files) == sorted(path.name for path in dataset.iterdir() if path.name != "titin.json")
    assert (dataset / "LICENSE").read_text("utf-8").startswith("Human Skeletal Muscle Ageing Atlas")
    for name, entry in manifest.files.items():
        assert entry["bytes"] == (dataset / name).stat().st_size


def test_pictures_come_and_go(built, tmp_path):
    pytest.importorskip("matplotlib", reason="needs `pip install matplotlib`")
    folder = Path(shutil.copytree(built, tmp_path / "d"))
    write_card(folder, images=True)
    pictures = sorted(path.name for path in folder.glob("preview_*.png"))
    assert pictures == ["preview_X_umap_Age_group.png", "preview_X_umap_annotation_level0.png"]
    text = (folder / "README.md").read_text("utf-8")
    assert all(f"]({name})" in text for name in pictures)
    captions = re.search(r"^\| (Cells by .*) \| (Cells by .*) \|$", text, re.MULTILINE)
    assert captions is not None
    assert captions.groups() == (
        "Cells by cell type (annotation_level0), on X_umap", "Cells by age (Age_group), on X_umap"
    )  # fmt: skip
    write_card(folder, images=False, croissant=False)
    assert not list(folder.glob("preview_*.png"))
    assert not (folder / "croissant.json").exists()
    assert "preview_" not in (folder / "README.md").read_text("utf-8")


def test_a_card_that_cannot_be_written_leaves_the_dataset(built, tmp_path):
    folder = Path(shutil.copytree(built, tmp_path / "d"))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(TitinError):
        write_card(folder, preset="none such")
    (folder / "skeletal_muscle_10x_expression.parquet").write_bytes(b"PAR1")
    with pytest.raises(TitinError, match="cannot be read"):
        write_card(folder, images=False)
    (folder / "skeletal_muscle_10x_expression.parquet").write_bytes(before["skeletal_muscle_10x_expression.parquet"])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", ["README.md", "croissant.json", "LICENSE"])
def test_what_was_changed_by_hand_is_replaced_with_force_only(built, tmp_path, name):
    folder = Path(shutil.copytree(built, tmp_path / "d"))
    write_card(folder, licence="cc-by-4.0", images=False)
    write_card(folder, images=False)  # as titin wrote them
    written = (folder / name).read_text("utf-8")
    (folder / name).write_text("mine", "utf-8")
    with pytest.raises(OutputError, match=f"{name} is not as titin wrote it") as error:
        write_card(folder, images=False)
    assert "--force" in str(error.value.hint)
    assert (folder / name).read_text("utf-8") == "mine"
    write_card(folder, images=False, force=True)
    assert (folder / name).read_text("utf-8") == written


# Croissant


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of a library that mlcroissant uses
def test_croissant_is_valid_and_reads_the_records(dataset, monkeypatch):
    mlcroissant = pytest.importorskip("mlcroissant", reason="needs `pip install mlcroissant`")
    monkeypatch.chdir(dataset)
    described = mlcroissant.Dataset("croissant.json")
    issues = described.metadata.ctx.issues
    assert not issues.errors
    assert all("recommended" in warning for warning in issues.warnings)
    name = next(r.name for r in described.metadata.record_sets if r.name.startswith("expression"))
    first = next(iter(described.records(name)))
    cells = pq.ParquetFile(sorted(dataset.glob("*_expression*.parquet"))[0])
    if not name.startswith("expression_by_gene"):
        row = cells.read_row_group(0).slice(0, 1).to_pylist()[0]
        assert list(first[f"{name}/genes"]) == row["genes"]
        assert first[f"{name}/cell_id"].decode() == row["cell_id"]


def test_croissant_names_every_file_and_column(dataset):
    manifest = Manifest.read(dataset)
    document = croissant(make_facts(dataset))
    assert {f["@id"]: f["sha256"] for f in document["distribution"]} == {
        name: entry["sha256"] for name, entry in manifest.files.items() if name not in ("README.md", "croissant.json")
    }
    n_columns = sum(len(pq.read_schema(path).names) for path in dataset.glob("*.parquet"))
    assert sum(len(records["field"]) for records in document["recordSet"]) == n_columns
    assert document["license"] == "https://creativecommons.org/licenses/by/4.0/legalcode"
    assert json.loads((dataset / "croissant.json").read_text("utf-8")) == document
    assert flat(document["description"]).startswith("1,100 cells x ")


def test_two_copies_for_publishing_at_once_do_not_touch_each_other(built, tmp_path):
    folder = Path(shutil.copytree(built, tmp_path / "dataset"))
    with public_copy(folder, "me/atlas", "cc-by-4.0", exact_ages=True) as (first, _):
        names = {path.name for path in first.iterdir()}
        with public_copy(folder, "me/atlas", "cc-by-4.0", exact_ages=True) as (second, _):
            assert first != second
            assert {path.name for path in second.iterdir()} == names
        assert {path.name for path in first.iterdir()} == names
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]
