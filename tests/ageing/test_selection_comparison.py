"""Two selections are compared on donors, by the same tests as types are."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import titin
from titin.ageing import (
    Pseudobulk,
    compare_selections,
    differential_expression,
    plan_sides,
)
from titin.demo import write_demo_atlas
from titin.errors import TitinError
from titin.progress import Progress

CLOSE = {"rtol": 1e-6, "atol": 1e-9}
STATISTICS = ["mean_log_cpm", "log2_fold_change", "ci_low", "ci_high", "p_value", "adj_p_value"]


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    """A demo in which donors have enough cells of several types."""
    folder = tmp_path_factory.mktemp("selections")
    write_demo_atlas(folder / "demo.h5ad", n_cells=1300, n_genes=400)
    titin.build(folder / "demo.h5ad", folder / "demo", preset="muscle")
    return titin.open(folder / "demo")


def cells(atlas, text):
    return atlas.query(text).rows


def by_gene(table, protocol):
    return table[table["protocol"] == protocol].set_index("gene_id").sort_index()


def test_selections_of_different_donors_are_tested_as_titin_age_de_tests_them(atlas) -> None:
    found = compare_selections(atlas, cells(atlas, "sex=F"), cells(atlas, "sex=M"))
    known = differential_expression(atlas, cell_type_level="all", contrast="sex[T.M]", formula="~ chemistry + sex")
    assert (
        {test["protocol"] for test in found.tests} == {test["protocol"] for test in known.tests} == {"cells", "nuclei"}
    )
    for test in found.tests:
        assert test["kind"] == "between"
        assert "sex left out: confounded with A" in test["notes"]
        mine, expected = (by_gene(one.table, test["protocol"]) for one in (found, known))
        assert mine.index.tolist() == expected.index.tolist()
        for column in ("mean_log_cpm", "p_value", "adj_p_value"):
            np.testing.assert_allclose(mine[column], expected[column], **CLOSE)
        # A is female: the other way round
        np.testing.assert_allclose(mine["log2_fold_change"], -expected["log2_fold_change"], **CLOSE)
        np.testing.assert_allclose(mine["ci_low"], -expected["ci_high"], **CLOSE)
    assert by_gene(found.table, "cells").set_index("gene")["log2_fold_change"]["XIST"] > 5


def test_donors_with_both_are_compared_with_themselves(atlas) -> None:
    a, b = cells(atlas, "annotation_level0=FB,MuSC"), cells(atlas, "annotation_level0!=FB,MuSC")
    found = compare_selections(atlas, a, b)
    [test] = [test for test in found.tests if test["protocol"] == "cells"]
    assert (test["kind"], test["formula"], test["donors_a"]) == ("paired", "~ donor + A", test["donors_b"])
    # the same sums by pandas, tested by what tests types
    obs = pd.DataFrame({"donor": atlas.obs["DonorID"].astype(str), "protocol": atlas.obs["batch"].astype(str)})
    obs["A"] = np.nan
    obs.iloc[a, 2], obs.iloc[b, 2] = 1.0, 0.0
    own = obs[obs["donor"].isin(test["donors_a"]) & (obs["protocol"] == "cells") & obs["A"].notna()]
    sums = pd.DataFrame(atlas.counts[:, :].toarray(), obs.index).loc[own.index].groupby([own["donor"], own["A"]]).sum()
    groups = sums.index.to_frame(index=False).assign(
        protocol="cells", n_cells=own.groupby(["donor", "A"]).size().values
    )
    counts = sparse.csr_matrix(sums.to_numpy().astype(np.int64))
    genes = pd.DataFrame({"gene": atlas.var_names, "gene_id": atlas.var["ENSEMBL"].to_numpy()})
    data = Pseudobulk(groups, counts, (counts > 0).astype(np.int64), genes, [])
    known = differential_expression(data, contrast="A", formula="~ donor + A")
    mine, expected = (one.table.query("protocol == 'cells'").set_index("gene").sort_index() for one in (found, known))
    assert mine.index.tolist() == expected.index.tolist()
    for column in STATISTICS:
        np.testing.assert_allclose(mine[column], expected[column], **CLOSE)
    assert mine["log2_fold_change"][atlas.uns["truth"]["markers"]["FB"][0]] > 1


def test_a_result_is_written_and_read_back(atlas, tmp_path) -> None:
    found = compare_selections(atlas, cells(atlas, "age>50"), cells(atlas, "age<50"))
    found.write(tmp_path / "found.parquet")
    again = type(found).read(tmp_path / "found.parquet")
    pd.testing.assert_frame_equal(again.table, found.table)
    assert (again.tests, again.settings) == (found.tests, found.settings)


@pytest.mark.parametrize(("a", "b", "told"), [
    ("sex=F", "age>50", "A and B overlap"), ("donor=339C", "donor=339C", "A and B overlap"),
    ("donor=339C and annotation_level0=FB", "donor=339C and annotation_level0=MF-I", "of one donor, 339C"),
    ("batch=cells", "batch=nuclei", "A lies in the protocol cells, B in nuclei"),
    ("sex=F and sex=M", "sex=M", "A has no cells"),
])  # fmt: skip
def test_what_cannot_be_compared_is_refused(atlas, a: str, b: str, told: str) -> None:
    with pytest.raises(TitinError, match=told):
        compare_selections(atlas, cells(atlas, a), cells(atlas, b))


def test_too_few_donors_are_told(atlas) -> None:
    found = compare_selections(atlas, cells(atlas, "donor=339C,343B"), cells(atlas, "donor=362C,367C,583B"))
    assert len(found.table) == len(found.tests) == 0
    assert {one["protocol"] for one in found.skipped} == {"cells", "nuclei"}
    assert all("2 (339C, 343B) with A alone" in one["reason"] for one in found.skipped)
    assert all(one["n_cells"] > 0 for one in found.skipped)


def test_who_waits_no_longer_ends_the_work(atlas) -> None:
    class Stop(Progress):
        def advance(self, amount: int) -> None:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        compare_selections(atlas, cells(atlas, "sex=F"), cells(atlas, "sex=M"), progress=Stop())


def table_of(rows: list[tuple[str, int, int]]) -> pd.DataFrame:
    return pd.DataFrame([("p", *row) for row in rows], columns=["protocol", "donor", "a", "b"])


@pytest.mark.parametrize(("rows", "expected"), [
    ([("D1", 10, 10), ("D2", 10, 99), ("D3", 50, 10)], ("paired", ["D1", "D2", "D3"], ["D1", "D2", "D3"])),
    ([("D1", 10, 9), ("D2", 10, 99), ("D3", 50, 10)], (None, [], [])),
    ([("D1", 10, 0), ("D2", 10, 0), ("D3", 50, 0), ("D4", 0, 10), ("D5", 0, 10), ("D6", 3, 10), ("D7", 20, 20)],
     ("between", ["D1", "D2", "D3"], ["D4", "D5", "D6"])),
    ([("D1", 10, 0), ("D2", 10, 0), ("D4", 0, 10), ("D5", 0, 10), ("D6", 0, 10)], (None, [], [])),
])  # fmt: skip
def test_which_donors_are_compared(rows, expected) -> None:
    [plan] = plan_sides(table_of(rows))
    assert (plan.kind, plan.a, plan.b) == expected


def test_the_plan_of_several_protocols_is_made_for_each() -> None:
    one = table_of([(f"D{i}", 20, 20) for i in range(3)])
    plans = plan_sides(pd.concat([one, one.head(2).assign(protocol="q")]))
    assert [(plan.protocol, plan.kind) for plan in plans] == [("p", "paired"), ("q", None)]
    assert plans[0].notes == []
