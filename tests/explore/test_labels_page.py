"""The page of the check of labels: its numbers are cells of the map, and its review list leads to them."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from window import Window, static_host

import titin
from titin.annotate import check_labels, write_label_check
from titin.explore import write_site

CELLS, DONORS, WRONG = 420, 7, 5


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Five types that are easily told apart, some cells of one donor called another one; the site of their check."""
    folder, rng = tmp_path_factory.mktemp("labels"), np.random.default_rng(0)
    kinds = rng.integers(0, 5, CELLS)
    mean = np.full((CELLS, 80), 0.6)
    for kind in range(5):
        mean[kinds == kind, 12 * kind : 12 * (kind + 1)] = 6
    labels = np.array(["Alpha", "Beta", "<b>Gamma</b>", "Delta", "Epsilon"], object)[kinds]
    donor = np.array([f"D{i}" for i in range(DONORS)])[np.arange(CELLS) % DONORS]
    labels[np.flatnonzero((donor == "D2") & (kinds == 0))[:WRONG]] = "Beta"
    obs = pd.DataFrame({"type": pd.Categorical(labels), "donor": donor}, index=[f"c{i}" for i in range(CELLS)])
    counts = sparse.csr_matrix(rng.poisson(mean).astype("f4"))
    adata = ad.AnnData(counts, obs, pd.DataFrame(index=[f"G{i}" for i in range(80)]))
    adata.obsm["X_umap"] = rng.normal(size=(CELLS, 2)) + 6 * kinds[:, None]
    adata.write_h5ad(folder / "a.h5ad")
    roles = {"cell_type": ["type"], "donor": "donor"}
    titin.build(folder / "a.h5ad", folder / "dataset", tissue="t", method="m", roles=roles)
    check = check_labels(titin.open(folder / "dataset"))
    write_label_check(folder / "dataset", check)
    return SimpleNamespace(site=write_site(folder / "dataset", folder / "site").path, check=check)


def test_the_review_list_leads_to_its_cells(window: Window, checked: SimpleNamespace) -> None:
    with static_host(checked.site) as address:
        window.open(address)
        window.page.click("#page-labels")
        window.until("document.querySelectorAll('#sheet tbody tr').length > 0")
        rows = window.page.query_selector_all("#sheet tbody tr")
        assert len(rows) == len(checked.check.review)
        cells = [cell.inner_text() for cell in rows[0].query_selector_all("th, td")]
        n_cells = int(checked.check.review["n_cells"].iloc[0])
        assert WRONG - 1 <= n_cells <= WRONG
        assert cells[:3] == ["Beta → Alpha", "D2", str(n_cells)]
        window.page.click("#sheet tbody .link >> nth=0")
        window.until("titin.state().page === 'map' && titin.state().selection !== null")
        found = window.run("titin.select(titin.state().selection)")
        assert (found["cells"], found["donors"], found["types"]) == (n_cells, 1, {"Beta": n_cells})
        assert window.said == []


def test_cells_are_coloured_by_the_probability_of_their_label(window: Window, checked: SimpleNamespace) -> None:
    with static_host(checked.site) as address:
        window.open(f"{address}#page=labels")
        window.until("document.querySelector('#sheet .verdict button') !== null")
        flagged = int(checked.check.table["flagged"].sum())
        assert flagged >= WRONG - 1
        assert window.page.inner_text("#sheet .verdict").startswith(f"{flagged} of {CELLS} labels of type are")
        window.page.click("#sheet .verdict button")
        window.until("titin.state().page === 'map' && 'obs' in titin.state().colours[0]")
        window.run("name => titin.colour({obs: name})", "p_label (check of type)")
        np.testing.assert_array_equal(window.values(), checked.check.table["p_label"].astype("f4"))


def test_python_that_is_copied_finds_the_flagged_cells(window: Window, checked: SimpleNamespace) -> None:
    window.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    with static_host(checked.site) as address:
        window.open(address)
        where = {"column": "flagged (check of type)", "is": ["True"]}
        found = window.run("where => titin.select({where: [where]})", where)["cells"]
        assert found == checked.check.table["flagged"].sum()
        window.page.click("#share summary")
        window.page.click("#copy-python")
        window.until("document.querySelector('#status').textContent.includes('copied')")
        code = window.run("navigator.clipboard.readText()")
    done = subprocess.run([sys.executable, "-c", f"{code}\nprint(cells.sum())"], cwd=checked.site, capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout.split() == [str(found)]


def test_without_a_check_there_is_no_such_page(window: Window, hosted: str) -> None:
    window.open(hosted)
    assert window.page.is_hidden("#page-labels")


def test_a_check_of_other_labels_is_refused(window: Window, checked: SimpleNamespace, tmp_path: Path) -> None:
    """As the file says it was checked, cell by cell."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from titin.dataset.manifest import Manifest

    site = write_site(checked.site / "data", tmp_path / "site").path
    manifest = Manifest.read(site / "data")
    path = site / "data" / manifest.layout.label_check
    table = pq.read_table(path)
    at = table.column_names.index("label")
    others = ["Alpha"] * table.num_rows
    pq.write_table(table.set_column(at, table.schema.field(at), pa.array(others).dictionary_encode()), path)
    manifest.files[path.name]["bytes"] = path.stat().st_size
    manifest.write(site / "data")
    with static_host(site) as address:
        window.open(f"{address}#page=labels")
        window.until("document.querySelector('#sheet .verdict') !== null")
        assert window.page.inner_text("#sheet .verdict") == "The labels of type are others than those that were checked"
