"""Tissue and method begin every file name: as given, else from obs, else from the file's name."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from titin.builder.options import Options, choose_prefix
from titin.errors import TitinError


def prefix(obs=None, path="My-Atlas v2.h5ad", chemistry=None, **options):
    source = SimpleNamespace(obs=pd.DataFrame(obs or {"x": [1, 2]}), path=Path("/data") / path)
    return choose_prefix(source, {"chemistry": chemistry}, Options(**options))


def test_the_file_name():
    assert prefix() == ("My_Atlas_v2", "scrna", "My_Atlas_v2_scrna")


@pytest.mark.parametrize("name", ["---.h5ad", "图.h5ad"])
def test_a_file_name_without_letters(name):
    assert prefix(path=name) == ("atlas", "scrna", "atlas_scrna")


def test_given():
    assert prefix(tissue="skeletal muscle", method="10x") == ("skeletal_muscle", "10x", "skeletal_muscle_10x")
    assert prefix({"tissue": ["liver"]}, tissue="Heart")[0] == "Heart"
    assert prefix(tissue="../../etc/passwd")[2] == "etc_passwd_scrna"
    assert len(prefix(tissue="x" * 500)[0]) == 60


@pytest.mark.parametrize(("entries", "tissue"), [
    (["Liver", "Liver"], "liver"),
    (["left lobe of liver", None], "left_lobe_of_liver"),
    (["liver", "blood"], "My_Atlas_v2"),
    ([None, None], "My_Atlas_v2"),
    (["?", "?"], "My_Atlas_v2"),
])  # fmt: skip
@pytest.mark.parametrize("dtype", [object, "category"])
def test_the_one_tissue_of_all_cells(entries, tissue, dtype):
    assert prefix({"tissue": pd.Series(entries, dtype=dtype)})[0] == tissue


@pytest.mark.parametrize(("column", "entries", "method"), [
    ("assay", ["10x 3' v3", "10x 5' v2"], "10x"),
    ("assay", ["10x 3' v3", None], "10x"),
    ("10X_version", ["v2", "v3"], "10x"),
    ("assay", ["10x 3' v3", "Smart-seq2"], "scrna"),
    ("assay", [None, None], "scrna"),
    ("10X_version", [None, None], "scrna"),
])  # fmt: skip
def test_the_chemistry_tells_the_method(column, entries, method):
    assert prefix({column: entries}, chemistry=column)[1] == method


@pytest.mark.parametrize(("option", "message"), [
    ({"tissue": "--"}, "--tissue '--' cannot begin a file name"),
    ({"method": "图"}, "--technology '图' cannot begin a file name"),
])  # fmt: skip
def test_nothing_to_make_a_name_of(option, message):
    with pytest.raises(TitinError, match=message) as error:
        prefix(**option)
    assert error.value.hint == "use letters and digits"
