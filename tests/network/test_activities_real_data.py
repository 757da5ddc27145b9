"""Regulators that are known of blood cells are among the most active by CollecTRI, in profiles over three donors."""

from pathlib import Path

import anndata as ad
import pandas as pd
import pytest

from titin.network import activity_scores, read_network


@pytest.fixture(scope="module")
def ranks(shared: Path) -> pd.DataFrame:
    """Rank of each regulator in each type, from the mean over donors of the type less that of all types."""
    network = read_network(shared / "data" / "genesets" / "collectri_human.csv")
    cells = ad.read_h5ad(shared / "data" / "h5ad" / "pbmc_3tech_symphony_1200x1767.h5ad")
    names, weights = network.with_targets(list(cells.var_names), 5)
    keys = [cells.obs[name].astype(str).to_numpy() for name in ("cell_type_broad", "donor")]
    grouped = pd.DataFrame(cells.X.toarray()).groupby(keys)
    profiles = grouped.mean()[(grouped.size() >= 10).to_numpy()].groupby(level=0).mean()
    scores = activity_scores((profiles - profiles.mean()).to_numpy(), weights)
    assert len(names) == 288
    return pd.DataFrame(scores, profiles.index, names).rank(axis=1, ascending=False)


@pytest.mark.parametrize(("kind", "regulator", "rank"), [
    ("B", "PAX5", 6), ("B", "EBF1", 5), ("Mono", "SPI1", 4), ("Mono", "CEBPA", 3), ("NK", "EOMES", 1),
    ("NK", "TBX21", 36), ("T", "GATA3", 6),
])  # fmt: skip
def test_known_regulators_rank_where_they_did(ranks: pd.DataFrame, kind: str, regulator: str, rank: int) -> None:
    assert ranks.loc[kind, regulator] == rank
