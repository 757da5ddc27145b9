"""Commands that count donors say which of them cannot be one person each, and keep it in their results."""

import json

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from titin.ageing.analysis import Inputs
from titin.ageing.catalogue import ANALYSES
from titin.ageing.terminal import describe, tell
from titin.atlas import open_atlas
from titin.builder import build
from titin.load import LeaveOneDonorOut
from titin.publish.card import make_card

N = 240
SAID = "1 donor of two sexes: D0"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Six people under five names: D0 of study A is a woman, D0 of study B a man."""
    folder = tmp_path_factory.mktemp("clash")
    person = np.arange(N) // 40
    obs = pd.DataFrame({
        "donor_id": np.array(["D0", "D1", "D2", "D0", "D4", "D5"])[person], "study": np.array(["A", "B"])[person // 3],
        "sex": np.array(["F", "M"])[person // 3], "age": np.array([20, 25, 30, 70, 75, 80])[person],
        "cell_type": np.array(["x", "y"])[np.arange(N) % 2],
    }, index=[f"c{i}" for i in range(N)])  # fmt: skip
    counts = sp.csr_matrix(np.random.default_rng(0).poisson(2, (N, 30)).astype("f4"))
    anndata.AnnData(counts, obs, pd.DataFrame(index=[f"G{i}" for i in range(30)])).write_h5ad(folder / "a.h5ad")
    return build(folder / "a.h5ad", folder / "d")


def test_the_build_says_so_and_the_card_once(dataset):
    (note,) = [note for note in dataset.manifest.notes if note.startswith(SAID)]
    assert "'study' tells them apart" in note
    assert make_card(dataset.path, dataset.manifest).count(SAID) == 1


def test_age_commands_say_so_and_keep_it(dataset, tmp_path):
    atlas = open_atlas(dataset.path)
    (analysis,) = [one for one in ANALYSES if one.name == "composition"]
    findings = analysis.compute(Inputs(atlas))
    files = [file for part, result in findings.results.items() for file in result.write(tmp_path / f"r{part}.parquet")]
    assert SAID in json.loads(files[-1].read_text("utf-8"))["settings"]["warnings"][0]
    document = tell(analysis, findings, findings.results, files)
    assert describe(document).count(f"Warning: {SAID}") == 1


def test_splits_warn(dataset):
    with pytest.warns(UserWarning, match=SAID):
        LeaveOneDonorOut.from_atlas(open_atlas(dataset.path))
