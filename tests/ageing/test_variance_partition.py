import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from titin.ageing.pseudobulk import Pseudobulk
from titin.ageing.variance_partition import summarise, variance_partition
from titin.errors import TitinError


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
    assert mean.loc["donor", ["donor", "sex", "age"]].sum() > 0.85
    assert mean.loc["donor", "donor"] > 0.5
    assert mean.loc["noise", "residual"] > 0.9
    assert mean.loc["noise"].drop("residual").max() < 0.06
    assert found.order[:2] == ["cell type", "donor"]
    assert found.terms == {
        "cell type": 4, "protocol": 1, "sex": 1, "age": 1, "donor": 7, "cell type × age": 4
    }  # fmt: skip
    assert found.left_out == {"chemistry": "not known"}


def test_sequential_sums_of_squares_are_those_of_statsmodels():
    import statsmodels.formula.api as smf
    from statsmodels.stats.anova import anova_lm

    from titin.ageing.normalization import log_counts, normalization_factors

    data = planted(1)
    found = variance_partition(data)
    counts = data.counts.toarray().astype(float)
    logs = log_counts(counts, counts.sum(axis=1) * normalization_factors(counts))
    frame = data.groups.assign(y=logs[7])
    formula = "y ~ C(cell_type) + C(protocol) + C(sex) + age + C(donor) + C(cell_type):age"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sex and age lie in the donors
        anova = anova_lm(smf.ols(formula, frame).fit())
    noise = anova.loc["Residual", "mean_sq"]
    total = ((logs[7] - logs[7].mean()) ** 2).sum()
    for term, name in (("cell type", "C(cell_type)"), ("sex", "C(sex)"), ("donor", "C(donor)")):
        df = found.terms[term]
        expected = max(anova.loc[name, "sum_sq"] - df * noise, 0) / total
        assert found.table.loc[7, term] == pytest.approx(expected, rel=1e-3, abs=2e-3)


def test_terms_that_are_not_known_are_told_and_too_few_donors_refused():
    data = planted()
    bare = Pseudobulk(data.groups.drop(columns=["age", "sex"]).assign(protocol="cells"), data.counts, data.detected,
                      data.genes, data.levels)  # fmt: skip
    told = variance_partition(bare).left_out
    assert told == {"protocol": "one value only", "chemistry": "not known", "sex": "not known",
                    "age": "ages are not known", "cell type × age": "ages are not known"}  # fmt: skip
    with pytest.raises(TitinError, match="too few to part variance"):
        variance_partition(data.select(donor=["d0", "d1"]))


def test_the_summary_is_by_falling_mean():
    found = variance_partition(planted())
    summary = summarise(found)
    assert summary["mean"].is_monotonic_decreasing
    assert summary.set_index("term").loc["donor", "mean"] == pytest.approx(found.table["donor"].mean())
