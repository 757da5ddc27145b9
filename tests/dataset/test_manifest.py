"""titin.json is written whole, read back equal, and refused with a reason."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from minimal_manifest import minimal_manifest
from titin.dataset import layout
from titin.dataset.manifest import Manifest, describe_file
from titin.dataset.swap import write_json
from titin.errors import DatasetError


def document(folder):
    return json.loads((folder / layout.MANIFEST).read_text("utf-8"))


def test_what_is_written_is_read_back(tmp_path):
    written = minimal_manifest(
        notes=["a note"], panel={"genes": {"PAX7": "marker"}}, files={"a.json": {"bytes": 3, "sha256": "a" * 64}}
    )
    written.write(tmp_path)
    assert Manifest.read(tmp_path) == written
    assert [p.name for p in tmp_path.iterdir()] == ["titin.json"]


def test_format_and_version_come_first(tmp_path):
    minimal_manifest().write(tmp_path)
    assert list(document(tmp_path))[:2] == ["format", "format_version"]
    assert document(tmp_path)["format"] == "titin"
    assert document(tmp_path)["format_version"] == 1


def test_what_follows_from_it():
    assert minimal_manifest().layout == layout.Layout("liver_10x")
    assert minimal_manifest().sparsity == 0.75


@pytest.mark.parametrize(("files", "found"), [
    (["p_expression.parquet", "p_expression_panel.parquet"], ["p_expression.parquet"]),
    (
        [*(f"p_expression-{i:05d}-of-00003.parquet" for i in (2, 0, 1)), "p_expression_panel-00000-of-00001.parquet"],
        [f"p_expression-{i:05d}-of-00003.parquet" for i in range(3)],
    ),
])  # fmt: skip
def test_files_and_shards_by_plain_name(files, found):
    assert minimal_manifest(files={name: {} for name in files}).shards("p_expression.parquet") == found


def test_a_file_that_is_not_there():
    with pytest.raises(DatasetError, match=r"the dataset has no p_expression\.parquet"):
        minimal_manifest(files={"p_expression_panel.parquet": {}}).shards("p_expression.parquet")


def test_no_dataset(tmp_path):
    with pytest.raises(DatasetError, match=r"is not a titin dataset: it has no titin\.json") as error:
        Manifest.read(tmp_path)
    assert error.value.hint == "give the folder that `titin build` wrote"
    with pytest.raises(DatasetError) as error:
        Manifest.read(tmp_path / "nowhere")
    assert error.value.hint == "check the path"


@pytest.mark.parametrize(("text", "message"), [
    ("{", "cannot be read"),
    ("\xff", "cannot be read"),
    ("[]", "is not the manifest of a titin dataset"),
    ('{"name": "package.json"}', "is not the manifest of a titin dataset"),
    ('{"format": "titin", "format_version": 1}', "prefix is missing"),
])  # fmt: skip
def test_damaged_or_foreign(tmp_path, text, message):
    (tmp_path / layout.MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(DatasetError, match=message) as error:
        Manifest.read(tmp_path)
    assert error.value.hint


def test_a_note_says_something(tmp_path):
    minimal_manifest(notes=[""]).write(tmp_path)
    with pytest.raises(DatasetError, match=r"notes\[0\] is '', not a sentence"):
        Manifest.read(tmp_path)


def test_a_later_format(tmp_path):
    minimal_manifest().write(tmp_path)
    write_json(tmp_path / layout.MANIFEST, document(tmp_path) | {"format_version": 2})
    with pytest.raises(DatasetError, match="has format version 2; this titin reads version 1") as error:
        Manifest.read(tmp_path)
    assert "pip install --upgrade titin" in error.value.hint


def test_unknown_keys_of_a_later_release_are_passed_over(tmp_path):
    minimal_manifest().write(tmp_path)
    write_json(tmp_path / layout.MANIFEST, document(tmp_path) | {"licence": "MIT"})
    assert Manifest.read(tmp_path) == minimal_manifest()


def test_description_of_files(tmp_path):
    (tmp_path / "a.json").write_bytes(b"abc")
    pq.write_table(pa.table({"x": [1, 2, 3]}), tmp_path / "a.parquet")
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of abc, from FIPS 180-2
    assert describe_file(tmp_path / "a.json") == {"bytes": 3, "sha256": sha256}
    assert describe_file(tmp_path / "a.parquet")["rows"] == 3
    assert describe_file(tmp_path / "a.parquet")["bytes"] == (tmp_path / "a.parquet").stat().st_size


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"é": 1})
    assert path.read_text("utf-8") == '{\n  "é": 1\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"x": float("nan")})
    assert json.loads(path.read_text("utf-8")) == {"é": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


LAYER = {"file": "layer_a", "kind": "real", "nnz": 5, "recovery": {},
         "source": {"matrix": "layers/a", "dtype": "float64", "storage": "dense"}}  # fmt: skip
GENES = {"n_genes": 7, "var": minimal_manifest().var}


@pytest.mark.parametrize(("parts", "said"), [
    ({"../a": LAYER}, r"parts.*\.\./a"),
    ({"layers/a": LAYER | {"file": "../a"}}, r"parts\.'layers/a'\.file"),
    ({"layers/a": LAYER | {"kind": "other"}}, r"parts\.'layers/a'\.kind"),
    ({"layers/a": LAYER | {"nnz": -1}}, r"parts\.'layers/a'\.nnz"),
    ({"layers/a": LAYER, "layers/b": LAYER}, r"parts.*layer_a twice"),
    ({"raw": LAYER | {"n_genes": 7}}, r"parts\.raw\.var is missing"),
    ({"raw": LAYER | {"var": GENES["var"]}}, r"parts\.raw\.n_genes is missing"),
    ({"raw": LAYER | GENES | {"var": minimal_manifest().obs}}, r"parts\.raw\.var\.columns"),
])  # fmt: skip
def test_further_matrices_are_as_the_format_has_them(tmp_path, parts, said):
    minimal_manifest(parts=parts).write(tmp_path)
    with pytest.raises(DatasetError, match=said):
        Manifest.read(tmp_path)


def test_a_further_matrix_is_the_dataset_with_another_matrix(tmp_path):
    written = minimal_manifest(parts={"layers/a": LAYER, "raw": LAYER | GENES | {"file": "raw"}})
    written.write(tmp_path)
    layer, raw = (Manifest.read(tmp_path).part(place) for place in ("layers/a", "raw"))
    assert (layer.kind, layer.n_genes, raw.n_genes) == ("real", 5, 7)
    assert layer.layout.expression == "liver_10x_layer_a_expression.parquet"
    assert layer.layout.feature_metadata == "liver_10x_feature_metadata.parquet"
    assert raw.layout.feature_metadata == raw.layout.detection == "liver_10x_raw_feature_metadata.parquet"
    assert (layer.rows_of(layer.layout.expression_by_gene), raw.rows_of(raw.layout.expression_by_gene)) == (5, 7)
