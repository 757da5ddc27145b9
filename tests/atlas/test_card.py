"""The dataset card and the manifest say what is there, and nothing that is not."""

import getpass
import hashlib
import json
import re
import socket
from datetime import date
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from scipy import sparse

from titin.builder import build
from titin.dataset.manifest import Manifest
from titin.errors import DatasetError


@pytest.fixture(params=["whole", "sharded"])
def dataset(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue("demo" if request.param == "whole" else "sharded")


def card_of(folder: Path) -> tuple[dict[str, Any], str]:
    """Front matter and text."""
    opening, matter, text = (folder / "README.md").read_text("utf-8").split("---\n", 2)
    assert opening == ""
    return yaml.load(matter, UniqueKeys), text


class UniqueKeys(yaml.SafeLoader):
    """Refuses a key that occurs twice, as the Hub does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        assert len(set(keys)) == len(keys)
        return super().construct_mapping(node, deep)


def strict_json(text: str) -> Any:
    """Refuse what Python's parser allows beyond the standard, and keys that occur twice."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    return json.loads(text, parse_constant=refuse, object_pairs_hook=unique)


def real_atlas(folder: Path) -> Path:
    """An atlas of real values, with a layer that is not kept."""
    X = sparse.random(20, 30, 0.3, format="csr", dtype="float32", rng=np.random.default_rng(0))
    path = folder / "my atlas.h5ad"
    ad.AnnData(X, layers={"scaled": X.toarray()}).write_h5ad(path)
    return path


# the card


def test_configs_cover_every_parquet_file_once(dataset):
    configs = card_of(dataset.dataset)[0]["configs"]
    assert all(set(config) <= {"config_name", "default", "data_files"} for config in configs)
    names = [config["config_name"] for config in configs]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[\w.-]+", name) for name in names)
    listed = []
    for config in configs:
        (split,) = config["data_files"]
        assert split["split"] == "train"
        listed += split["path"]
    assert sorted(listed) == sorted(path.name for path in dataset.dataset.glob("*.parquet"))


def test_shards_are_listed_in_order(sharded):
    configs = {config["config_name"]: config for config in card_of(sharded.dataset)[0]["configs"]}
    paths = configs["expression"]["data_files"][0]["path"]
    n = len(paths)
    assert n > 1
    assert paths == [f"skeletal_muscle_10x_expression-{i:05d}-of-{n:05d}.parquet" for i in range(n)]


def test_expression_is_the_one_default(dataset):
    configs = card_of(dataset.dataset)[0]["configs"]
    assert [config["config_name"] for config in configs if "default" in config] == ["expression"]
    assert configs[0]["default"] is True


def test_configs_of_embeddings_whose_names_are_alike(tmp_path):
    X = np.random.default_rng(0).random((10, 4)).astype("float32")
    atlas = ad.AnnData(sparse.csr_matrix(X), obsm=dict.fromkeys(("X_umap", "X umap", "X_UMAP", "é: 1"), X[:, :2]))
    atlas.write_h5ad(tmp_path / "atlas.h5ad")
    build(tmp_path / "atlas.h5ad", tmp_path / "dataset")
    configs = card_of(tmp_path / "dataset")[0]["configs"]
    projections = [c for c in configs if c["config_name"].startswith("projection_")]
    assert len({c["config_name"].casefold() for c in projections}) == 4
    assert len({c["data_files"][0]["path"][0].casefold() for c in projections}) == 4


def test_numbers_of_the_card_are_those_of_the_manifest(dataset):
    manifest, text = dataset.manifest, card_of(dataset.dataset)[1]
    flat = " ".join(text.split())
    assert f"{manifest.n_cells:,} cells × {manifest.n_genes:,} genes, {manifest.nnz:,} non-zeros" in flat
    assert f"({manifest.sparsity:.2%} zeros)" in flat
    assert f"Made from `atlas.h5ad` (h5ad, matrix `X`, float32; sha256 `{manifest.source['sha256']}`)" in flat
    assert "normalised to 10,000 a cell" in flat
    rows = re.findall(r"^\| `([^`]+)` \| [^|]+ \| ([\d,]+|–) \| ([\d,]+) \|$", text, re.MULTILINE)
    assert {name: (rows, size) for name, rows, size in rows} == {
        name: (f"{entry['rows']:,}" if "rows" in entry else "–", f"{entry['bytes']:,}")
        for name, entry in manifest.files.items()
        if name != "README.md"
    }


def test_the_card_of_real_values_says_so_and_what_was_left_out(tmp_path):
    build(real_atlas(tmp_path), tmp_path / "dataset", shuffle=False)
    matter, text = card_of(tmp_path / "dataset")
    flat = " ".join(text.split())
    assert matter["size_categories"] == ["n<1K"]
    assert "no integer counts lie behind them" in flat
    assert "Cells are in one order in all files, that of the source" in flat
    assert "- `layers/scaled`: kept by --layers; --layer takes it for X" in text
    assert "## Ages" not in text


def test_the_code_of_the_card_runs_on_shards_too(sharded, monkeypatch):
    monkeypatch.chdir(sharded.dataset)
    text = card_of(sharded.dataset)[1]
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        names: dict[str, Any] = {}
        exec(compile(block, "README.md", "exec"), names)
        if "atlas" in names:
            assert names["atlas"].n_obs == sharded.manifest.n_cells


# the manifest


def test_the_manifest_lists_every_file_with_its_size_checksum_and_rows(dataset):
    folder, manifest = dataset.dataset, Manifest.read(dataset.dataset)
    assert sorted(manifest.files) == sorted({path.name for path in folder.iterdir()} - {"titin.json"})
    for name, entry in manifest.files.items():
        content = (folder / name).read_bytes()
        assert entry["bytes"] == len(content)
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry.get("rows") == (pq.read_metadata(folder / name).num_rows if name.endswith(".parquet") else None)


def test_files_of_the_layout_are_there(demo):
    prefix = "skeletal_muscle_10x"
    parts = ("expression", "expression_by_gene", "expression_panel", "sample_metadata", "feature_metadata")
    projections = ("projection_X_scVI", "projection_X_umap")
    assert sorted(path.name for path in demo.dataset.iterdir()) == sorted(
        [f"{prefix}_{part}.parquet" for part in parts + projections]
        + [f"{prefix}_unstructured_metadata.json", "detailed_structure.json", "titin.json", "README.md"]
    )


def test_the_manifest_holds_the_facts_of_the_source(demo):
    source, manifest = demo.source(), demo.manifest
    assert (manifest.n_cells, manifest.n_genes, manifest.nnz) == (*source.shape, source.X.nnz)
    assert manifest.source == {
        "name": "atlas.h5ad", "format": "h5ad", "sha256": hashlib.sha256(demo.atlas.read_bytes()).hexdigest(),
        "matrix": "X", "dtype": "float32", "storage": "csr",
    }  # fmt: skip
    assert manifest.kind == "log1p"
    assert manifest.recovery["target_sum"] == 10_000
    assert manifest.format_version == 1
    assert set(manifest.obsm) == set(source.obsm)
    assert manifest.roles["donor"] == "DonorID"


@pytest.mark.parametrize("name", ["titin.json", "detailed_structure.json", "unstructured_metadata.json"])
def test_json_is_strict(dataset, tmp_path, name):
    (path,) = dataset.dataset.glob(f"*{name}")
    text = path.read_text("utf-8")
    assert strict_json(text)
    assert text.endswith("}\n")


def test_json_is_strict_where_values_are_not_finite(tmp_path):
    atlas = ad.read_h5ad(real_atlas(tmp_path))
    atlas.uns = {"nan": np.nan, "values": np.array([np.inf, -np.inf, np.nan])}
    atlas.obs["score"] = np.where(np.arange(20) > 3, np.nan, np.inf)
    atlas.write_h5ad(tmp_path / "atlas.h5ad")
    build(tmp_path / "atlas.h5ad", tmp_path / "dataset")
    for path in (tmp_path / "dataset").glob("*.json"):
        strict_json(path.read_text("utf-8"))


def test_nothing_tells_where_or_when_a_dataset_was_built(demo):
    for path in demo.dataset.iterdir():
        if path.suffix in (".json", ".md"):
            text = path.read_text("utf-8")
            assert str(demo.folder) not in text
            assert not re.search(r"(^|[\s\"'`(])(/(home|root|tmp|Users|work|var)/|[A-Z]:\\)", text)
            assert socket.gethostname() not in text
            assert date.today().isoformat() not in text
            if getpass.getuser() != "root":
                assert getpass.getuser() not in text
        else:
            assert str(demo.folder).encode() not in path.read_bytes()


def test_the_structure_is_that_of_the_source(demo):
    source = demo.source()
    structure = json.loads((demo.dataset / "detailed_structure.json").read_text("utf-8"))
    assert structure["shape"] == list(source.shape)
    assert structure["nonzeros"] == source.X.nnz
    assert structure["sparsity"] == pytest.approx(100 * (1 - source.X.nnz / np.prod(source.shape)), rel=1e-12)
    assert structure["obs_columns"] == list(source.obs)
    assert structure["var_columns"] == list(source.var)
    assert sorted(structure["obsm_keys"]) == sorted(source.obsm)
    counts = source.obs["annotation_level1"].value_counts()
    assert structure["annotation_mapping"]["annotation_level1"] == counts[counts > 0].to_dict()
    assert structure["category_counts"]["Sex"] == source.obs["Sex"].value_counts().to_dict()


# a manifest that cannot be used


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "is not the manifest of a titin dataset"),
        ('{"format": "zarr"}', "is not the manifest of a titin dataset"),
        ('{"format": "titin", "format_version": 2}', "has format version 2; this titin reads version 1"),
        ('{"format": "titin", "format_version": 1}', "prefix is missing"),
    ],
)
def test_a_manifest_that_is_none(tmp_path, text, message):
    (tmp_path / "titin.json").write_text(text)
    with pytest.raises(DatasetError, match=message) as error:
        Manifest.read(tmp_path)
    assert error.value.hint


def test_a_manifest_may_say_more_than_this_version_knows(demo, tmp_path):
    document = json.loads((demo.dataset / "titin.json").read_text("utf-8"))
    (tmp_path / "titin.json").write_text(json.dumps(document | {"later": True}))
    assert Manifest.read(tmp_path) == demo.manifest
