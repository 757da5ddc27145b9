import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from calibration import load
from titin.ageing.pseudobulk import Pseudobulk
from titin.ageing.variance_partition import summarise, variance_partition
from titin.errors import TitinError

draw = load("variance_shares").draw


def planted(seed=0):
    """Types × donors × protocols of known effects: 100 genes by type, 100 by donor, 100 of noise alone."""
    rng = np.random.default_rng(seed)
    rows = [(f"t{t}", f"d{d}", p) for t in range(5) for d in range(10) for p in ("cells", "nuclei")]
    groups = pd.DataFrame(rows, columns=["cell_type", "donor", "protocol"])
    donor = groups["donor"].str[1:].astype(int)
    groups["age"], groups["sex"] = 20.0 + 5 * donor, np.where(donor % 2, "F", "M")
    groups["n_cells"] = 100
    n_genes = 300
    logs = np.full((len(groups), n_genes), np.log(200.0))
    logs[:, :100] += rng.normal(0, 1, (5, 100))[pd.factorize(groups["cell_type"])[0]]
    logs[:, 100:200] += rng.normal(0, 1, (10, 100))[donor]
    logs += rng.normal(0, 0.2, logs.shape)
    counts = sparse.csr_matrix(rng.poisson(np.exp(logs)).astype(np.int64))
    genes = pd.DataFrame({"gene": [f"g{i}" for i in range(n_genes)], "gene_id": [f"g{i}" for i in range(n_genes)]})
    return Pseudobulk(groups, counts, counts, genes, ["cell_type"])


def test_planted_shares_are_given_to_their_terms():
    found = variance_partition(planted())
    table = found.table
    parts = np.repeat(["type", "donor", "noise"], 100)
    mean = table.drop(columns=["gene", "gene_id", "mean_log_cpm"]).groupby(parts).mean()
    assert mean.loc["type", "cell type"] > 0.85
    assert mean.loc["donor", "donor"] > 0.85
    assert mean.loc["noise", "residual"] > 0.9
    assert mean.loc["noise"].drop("residual").abs().max() < 0.03
    assert mean[["sex", "age"]].abs().max().max() < 0.04  # of 100 genes alone, each with an error of its own
    np.testing.assert_allclose(table.drop(columns=["gene", "gene_id", "mean_log_cpm"]).sum(axis=1), 1)
    assert set(found.order[:2]) == {"cell type", "donor"}
    assert found.terms == {
        "cell type": 4, "protocol": 1, "sex": 1, "age": 1, "cell type × age": 4, "donor": 7, "sample": 9,
        "cell type × donor": 32,
    }  # fmt: skip
    assert found.left_out == {"chemistry": "not known"}


def test_components_are_those_of_the_mean_squares_of_statsmodels():
    import statsmodels.formula.api as smf

    from titin.ageing.normalization import log_counts, normalization_factors

    data = planted(1)
    found = variance_partition(data)
    counts = data.counts.toarray().astype(float)
    logs = log_counts(counts, counts.sum(axis=1) * normalization_factors(counts))
    total = ((logs[7] - logs[7].mean()) ** 2).sum()
    terms = ["C(cell_type)", "C(protocol)", "C(sex)", "age", "C(cell_type):age", "C(donor)", "C(donor):C(protocol)",
             "C(donor):C(cell_type)"]  # fmt: skip
    frame = data.groups.assign(y=logs[7])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sex and age lie in the donors
        fits = [smf.ols(f"y ~ {' + '.join(terms[:n]) or 1}", frame).fit() for n in range(9)]
    sums = {term: fits[i].ssr - fits[i + 1].ssr for i, term in enumerate(terms)}
    df = {term: fits[i].df_resid - fits[i + 1].df_resid for i, term in enumerate(terms)}
    ms = {term: sums[term] / df[term] for term in terms} | {"residual": fits[-1].ssr / fits[-1].df_resid}
    age = (sums["age"] - ms["C(donor)"]) / total  # five types in two protocols: balanced
    own = (ms["C(donor):C(cell_type)"] - ms["residual"]) / 2
    share = found.table.loc[7]
    assert share["age"] == pytest.approx(age, abs=1e-9)
    assert share["cell type × donor"] == pytest.approx(own * (100 - 2) / total, abs=1e-9)
    assert share["residual"] == pytest.approx(ms["residual"] * 99 / total, abs=1e-9)
    kept = (sums["C(cell_type)"] - df["C(cell_type)"] * ms["C(donor):C(cell_type)"]) / total
    assert share["cell type"] == pytest.approx(kept, abs=1e-9)


def test_nothing_planted_gives_nothing_and_what_is_planted_comes_back():
    rng = np.random.default_rng(0)
    null = variance_partition(draw(rng, donor=0.4, genes=1000)[0]).table.mean(numeric_only=True)
    assert null[["age", "sex", "cell type × age"]].abs().max() < 0.003
    data, planted_shares = draw(rng, donor=0.3, own=0.2, age=0.3, genes=1000)
    found = variance_partition(data).table.mean(numeric_only=True)
    assert found["age"] + found["sex"] == pytest.approx(planted_shares["age"], abs=0.01)
    assert planted_shares["age"] > 0.09


def test_terms_that_are_not_known_are_told_and_too_few_donors_refused():
    data = planted()
    bare = Pseudobulk(data.groups.drop(columns=["age", "sex"]).assign(protocol="cells"), data.counts, data.detected,
                      data.genes, data.levels)  # fmt: skip
    told = variance_partition(bare).left_out
    assert told == {"protocol": "one value only", "chemistry": "not known", "sex": "not known",
                    "age": "ages are not known", "cell type × age": "ages are not known",
                    "sample": "no more of them than of the terms before",
                    "cell type × donor": "one unit of each"}  # fmt: skip
    with pytest.raises(TitinError, match="too few to part variance"):
        variance_partition(data.select(donor=["d0", "d1"]))


def test_the_summary_is_by_falling_mean():
    found = variance_partition(planted())
    summary = summarise(found)
    assert summary["mean"].is_monotonic_decreasing
    assert summary.set_index("term").loc["donor", "mean"] == pytest.approx(found.table["donor"].mean())
