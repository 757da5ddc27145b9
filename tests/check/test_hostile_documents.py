"""Documents of a dataset that agree with its manifest and say what no titin writes: no check crashes over them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from good_datasets import Good
from mutations import sign

from titin.atlas import open_atlas
from titin.check import validate
from titin.errors import DatasetError

VALUES = [None, True, -1, 1e300, "x", [], [1], {"x": 1}, {"x": {"y": "z"}}, {"x": {"y": -1}}, [[[]]]]
STRUCTURE = [json.dumps({key: value}) for key in ("obs_columns", "obsm_keys", "annotation_mapping", "category_counts",
                                                  "shape", "sparsity") for value in VALUES]  # fmt: skip
STRUCTURE += ["[]", "null", "3", "{", "[" * 100_000, '{"shape": [1], "shape": [2]}', '{"shape": 1e999}']

TAGS: list[Any] = [
    {"type": "array", "dtype": "U1000000000", "shape": [1]}, {"type": "array", "dtype": "(90000,90000)f8"},
    {"type": "array", "dtype": "f8", "shape": [10**12]}, {"type": "array", "dtype": "no"}, {"type": "array"},
    {"type": "structured array", "fields": [], "shape": [10**12]}, {"type": "sparse", "class": "csr_matrix"},
    {"type": "structured array", "fields": ["x"], "shape": [1], "itemsize": 2**40, "offsets": [0], "titles": [None]},
    {"type": "objects", "shape": [1, 1, 1, 1]}, {"type": "tuple"}, {"type": "DataFrame"}, {"type": "Series"},
    {"type": "pandas array", "kind": "time", "dtype": "datetime64[ns, dateutil//etc/passwd]"}, {"type": "no"},
    {"type": "float"}, {"type": "bytes"}, {"type": "masked array"}, {"type": "Index"}, {"key": {"key": []}}, 3, [], "x",
    None,
]  # fmt: skip
CONTENTS: list[Any] = [
    None, 3, "x", [], ["x"], [[1], [1, 2]], {"x": [1]}, {"data": [1], "indices": [10**9], "indptr": [0, 1]},
]  # fmt: skip
UNS = [json.dumps({"a": content, "__types__": {"/a": tag}}) for tag in TAGS for content in CONTENTS]
UNS += [json.dumps({"a": 1, "__types__": types}) for types in (3, [], {"": {"type": "tuple"}}, {"/a/b/c": {}})]
UNS += ["[]", "null", "3", '"x"', "{", "[" * 100_000]

ALIASES = "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" if i else "a0: &a0 [x]\n" for i in range(25))
BLOCKS = [
    "", "- a\n", "a: &a [1]\nb: *a\n", "a: 2001-99-99\n", f"a: {'9' * 5000}\n", f"a: {'[' * 3000}\n", "? [a]\n: b\n",
    "? {a: b}\n: b\n", "a: !!python/object:x y\n", "configs: 3\ndataset_info: 4\n", "configs: [3, null, [], {}]\n",
    "configs: [{config_name: x, data_files: [{path: ../../notes.txt, split: train}]}]\n", ALIASES,
    "configs: [{config_name: x, data_files: {a: b}}]\n", "license: [[]]\ntags: {}\n",
    "dataset_info: [{config_name: [], splits: 3, features: {}}]\n",
]  # fmt: skip
CARDS = ["", "---\n", f"{'1' * 400_000} cells × 3 genes", f"| file | rows |\n| README.md | {'9' * 5000} |"]
CARDS += [f"---\n{block}---\n" for block in BLOCKS]


def crashed(path: Path) -> list[str]:
    report = validate(
        path, checks=["integrity.structure", "integrity.uns", "integrity.card", "viewer.configs"], threads=1
    )
    return [f"{result.check.name}: {result.crash}" for result in report.crashed]


def check_texts(good: Good, name: str, texts: list[str]) -> None:
    for text in texts:
        (good.path / name).write_text(text, "utf-8")
        sign(good.path)
        assert crashed(good.path) == [], text[:200]


@pytest.mark.parametrize(("name", "texts"), [
    ("detailed_structure.json", STRUCTURE[::7]), ("muscle_10x_unstructured_metadata.json", UNS[::19]),
    ("README.md", CARDS[::3]),
])  # fmt: skip
def test_no_document_makes_a_check_crash(name: str, texts: list[str], copy_of: Callable[[str], Good]) -> None:
    check_texts(copy_of("log1p"), name, texts)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "texts"), [
    ("detailed_structure.json", STRUCTURE), ("muscle_10x_unstructured_metadata.json", UNS), ("README.md", CARDS),
])  # fmt: skip
def test_no_document_of_many_makes_a_check_crash(name: str, texts: list[str], copy_of: Callable[[str], Good]) -> None:
    check_texts(copy_of("log1p"), name, texts)


def test_unstructured_metadata_is_read_or_refused_in_words(copy_of: Callable[[str], Good]) -> None:
    good, refused = copy_of("log1p"), 0
    for text in UNS:
        (good.path / "muscle_10x_unstructured_metadata.json").write_text(text, "utf-8")
        sign(good.path)
        try:
            assert open_atlas(good.path).uns is not None
        except DatasetError:
            refused += 1
    assert refused > len(UNS) / 2
