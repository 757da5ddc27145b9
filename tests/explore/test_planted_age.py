"""A small study in which some genes were made to change with age: the page shows their slopes, and Python's numbers."""

import re
from collections.abc import Iterator
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from window import Window, static_host

import titin
from titin.ageing import differential_expression
from titin.explore import write_site

DONORS, CELLS, GENES = 10, 25, 60
PLANTED = {("G5", "T"): 0.4, ("G6", "B"): -0.4, ("G7", "T"): -0.3}  # log2 fold change a decade


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """Its page on a plain server, and what Python says of it."""
    folder, rng = tmp_path_factory.mktemp("planted"), np.random.default_rng(12)
    ages = np.linspace(21, 84, DONORS).round()
    donor, kind = np.repeat(np.arange(DONORS), 2 * CELLS), np.tile(np.repeat(["T", "B"], CELLS), DONORS)
    level = np.tile(rng.lognormal(1.5, 0.5, GENES), (len(donor), 1))
    level *= rng.lognormal(0, 0.05, (DONORS, GENES))[donor]  # donors differ
    for (gene, planted_in), slope in PLANTED.items():
        decades = (ages[donor] - ages.mean()) / 10
        level[:, int(gene[1:])] *= np.where(kind == planted_in, 2 ** (slope * decades), 1)
    obs = pd.DataFrame({"donor": [f"D{one}" for one in donor], "age": ages[donor], "kind": kind},
                       index=[f"c{i}" for i in range(len(donor))])  # fmt: skip
    adata = ad.AnnData(sparse.csr_matrix(rng.poisson(level).astype("f4")), obs,
                       pd.DataFrame(index=[f"G{i}" for i in range(GENES)]))  # fmt: skip
    adata.obsm["X_umap"] = rng.normal(size=(len(obs), 2)) + np.where(kind == "T", 9, 0)[:, None]
    adata.write_h5ad(folder / "a.h5ad")
    titin.build(folder / "a.h5ad", folder / "dataset", tissue="t", method="m",
                roles={"donor": "donor", "age": "age", "cell_type": ["kind"]})  # fmt: skip
    table = differential_expression(titin.open(folder / "dataset")).table
    with static_host(write_site(folder / "dataset", folder / "site").path) as address:
        yield SimpleNamespace(address=address, table=table.set_index(["gene", "cell_type"]).sort_index())


def test_planted_genes_have_their_slope_and_python_s_numbers(window: Window, study: SimpleNamespace) -> None:
    window.open(study.address)
    for gene in ("G5", "G6", "G7", "G20"):
        card = window.run("gene => titin.card(gene)", gene)
        for one in card["tested"]:
            expected, change = study.table.loc[(gene, one["type"])], one["change"]
            told = [change[name] for name in ("effect", "low", "high", "p", "adjusted")]
            known = expected[["log2_fold_change", "ci_low", "ci_high", "p_value", "adj_p_value"]].astype(float)
            np.testing.assert_allclose(told, known, rtol=1e-6, atol=1e-9)
            slope = PLANTED.get((gene, one["type"]))
            if slope is None:
                assert change["adjusted"] > 0.05
            else:
                assert np.sign(change["effect"]) == np.sign(slope)
                assert change["low"] - 0.1 < slope < change["high"] + 0.1
                assert change["adjusted"] < 0.01
    assert window.said == []


def test_the_card_shows_the_sign_to_its_reader(window: Window, study: SimpleNamespace) -> None:
    window.open(study.address)
    for (gene, planted_in), slope in PLANTED.items():
        window.run("card => titin.setState({page: 'gene', card})", gene)
        window.until("gene => document.querySelector('#sheet h2')?.textContent.startsWith(gene)", gene)
        rows = window.run("""[...document.querySelectorAll('[aria-label^="Change with age by type"] tr')].map(
            row => [...row.children].map(cell => cell.innerText))""")  # fmt: skip
        shown = {row[0]: row[3] for row in rows[1:]}[planted_in]
        sign, number = re.match(r"([+−])([\d.]+)", shown).groups()
        assert sign == ("+" if slope > 0 else "−")
        assert float(number) == pytest.approx(abs(study.table.loc[(gene, planted_in), "log2_fold_change"]), rel=0.05)
    window.run("titin.setState({page: 'changes', comparison: 'T'})")
    window.until("document.querySelector('#sheet .scroll .link') !== null")
    first = {window.page.inner_text(f"#sheet .scroll .link >> nth={k}") for k in range(2)}
    assert first == {"G5", "G7"}
    window.run("titin.setState({page: 'violins', dots: ['G5'], label: 'T'})")
    window.until("document.querySelectorAll('#sheet .violin').length > 0")
    (chart,) = window.run("titin.violins(['G5'], {label: 'T'})")["charts"]
    medians = [violin["mean"] for violin in chart["donors"]]
    assert np.corrcoef(np.arange(DONORS), medians)[0, 1] > 0.9
