"""Whether donors are exchanged between protocols: what tells donors apart in one has to tell the same in the other."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.check.dataset import CheckedDataset, bundled
from titin.check.findings import Finding, Outcome
from titin.check.registry import check
from titin.check.units import Keys
from titin.dataset import layout
from titin.study.design import level_columns
from titin.study.groups import CellGroups

CERTAINTY = 0.95  # that some donors are exchanged, from which it is said
_PRIOR = 0.01  # of any exchange in a dataset, before its genes are looked at
_FEWEST_CELLS = 20  # of a donor's type in a protocol
_FEWEST_DONORS = 4  # in both protocols, and in each type that tells anything
_GENES_READ = 2000  # most widely expressed ones
_GENES_USED = 300  # that tell donors apart best
STRANGERS = 0.01  # of matches of strangers, how many may be as good as one that anything is said of
_DRAWN = 2000  # matches of strangers

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Match:
    """How the donors of two protocols resemble each other.

    Attributes
    ----------
    donors
        That are in both.
    likeness
        Donors in one × donors in the other: correlation over genes, less what rows and columns have in common.
    other
        For each donor of the first protocol, the one of the second that the best match of all gives it.
    separation
        By how many standard deviations donors resemble themselves, by the best match, more than others do.
    certainty
        0 … 1: that not everyone is himself.
    strangers
        Share of best matches of as many strangers that are as good.
    """

    donors: list[str]
    likeness: Floats
    other: list[str]
    separation: float
    certainty: float
    strangers: float

    @property
    def alarming(self) -> bool:
        """Whether donors resemble somebody, and not everyone himself."""
        return self.certainty >= CERTAINTY and self.strangers <= STRANGERS

    @property
    def exchanged(self) -> dict[str, str]:
        """Donors who resemble somebody else, and whom."""
        return {one: other for one, other in zip(self.donors, self.other, strict=True) if one != other}


def donor_profiles(counts: Floats, groups: pd.DataFrame) -> dict[str, tuple[pd.DataFrame, Floats]]:
    """What tells donors apart in each protocol: how every gene departs from the others of that type and protocol.

    Parameters
    ----------
    counts
        Groups × genes.
    groups
        One row a group: ``donor``, ``protocol``, ``cell_type``, ``n_cells``, and ``sex`` and ``chemistry`` where known,
        whose means are taken out.

    Returns
    -------
    dict
        By protocol: donors × genes, over the types by their cells; and of each gene how well the types of a donor
        agree, as the share of the variance that they have in common (-1 … 1).
    """
    total = counts.sum(axis=1, keepdims=True)
    logs = np.log2((counts + 0.5) / (total + 1) * 1e6)
    found = {}
    for protocol in sorted(groups["protocol"].unique()):
        inside = (groups["protocol"] == protocol).to_numpy()
        donors = sorted(groups["donor"][inside].unique())
        parts = np.full((0, len(donors), counts.shape[1]), np.nan)
        weights = np.zeros((0, len(donors)))
        for cell_type in sorted(groups["cell_type"][inside].unique()):
            at = np.flatnonzero(inside & (groups["cell_type"] == cell_type).to_numpy())
            if len(at) < _FEWEST_DONORS or groups["donor"].iloc[at].duplicated().any():
                continue
            place = [donors.index(name) for name in groups["donor"].iloc[at]]
            part, weight = np.zeros((len(donors), counts.shape[1])), np.zeros(len(donors))
            part[place] = _departures(logs[at], groups.take(at))
            weight[place] = np.sqrt(groups[layout.N_CELLS].iloc[at].to_numpy(float))
            parts, weights = np.concatenate([parts, part[None]]), np.vstack([weights, weight])
        told = weights.sum(axis=0) > 0
        if told.sum() < _FEWEST_DONORS:
            continue
        mean = np.einsum("td,tdg->dg", weights, parts)[told] / weights.sum(axis=0)[told, None]
        kept = [name for name, known in zip(donors, told, strict=True) if known]
        found[str(protocol)] = pd.DataFrame(mean, kept), _agreement(parts, weights > 0)
    return found


def _departures(values: Floats, groups: pd.DataFrame) -> Floats:
    """Values less the means of their sex and chemistry, as far as that leaves donors to differ."""
    known = [pd.get_dummies(groups[c].astype(str), drop_first=True).to_numpy(float)
             for c in ("sex", "chemistry") if c in groups]  # fmt: skip
    matrix = np.column_stack([np.ones(len(values)), *known])
    if len(values) < matrix.shape[1] + 3:
        matrix = matrix[:, :1]
    rest: Floats = values - matrix @ np.linalg.lstsq(matrix, values, rcond=None)[0]
    return rest


def _agreement(parts: Floats, there: NDArray[np.bool_]) -> Floats:
    """Of each gene, products of a donor's departures in two types, over squares."""
    n = np.maximum(there.sum(axis=0) - 1, 0)[:, None]
    squares = (parts**2).sum(axis=0)
    products = parts.sum(axis=0) ** 2 - squares
    with np.errstate(invalid="ignore", divide="ignore"):
        shared = products.sum(axis=0) / (n * squares).sum(axis=0)
    return np.nan_to_num(shared if n.any() else np.zeros(parts.shape[2]))


def match_donors(
    one: tuple[pd.DataFrame, Floats], other: tuple[pd.DataFrame, Floats], *, n_genes: int = _GENES_USED
) -> Match | None:
    """Match the donors of two protocols by the genes that tell donors apart within each.

    The genes are chosen by how well the types of a donor agree within the protocols, which knows nothing of who is who
    between them. The likenesses of a donor with himself and with others are taken for normal of one variance.

    Returns
    -------
    Match or None
        None where fewer than four donors are in both.
    """
    donors = [name for name in one[0].index if name in other[0].index]
    if len(donors) < _FEWEST_DONORS:
        return None
    agreed = np.minimum(one[1], other[1])
    genes = np.argsort(-agreed, kind="stable")[:n_genes]
    a, b = (_standard(part[0].loc[donors].to_numpy()[:, genes]) for part in (one, other))
    likeness = a @ b.T / len(genes)
    likeness = _centred(likeness)
    best, separation, spread = _best_match(likeness)
    n = len(donors)
    gain = float(likeness[np.arange(n), best].sum() - np.trace(likeness))
    log_odds = separation / spread * gain + np.log(_PRIOR / (n * (n - 1) / 2))
    certainty = float(1 / (1 + np.exp(-np.clip(log_odds, -500, 500)))) if gain > 0 else 0.0
    rng = np.random.default_rng(0)
    drawn = np.array([_best_match(_centred(rng.normal(size=(n, n))))[1] for _ in range(_DRAWN)])
    strangers = float((drawn >= separation).mean())
    return Match(donors, likeness, [donors[i] for i in best], separation, certainty, strangers)


def _centred(likeness: Floats) -> Floats:
    centred: Floats = likeness - likeness.mean(axis=0) - likeness.mean(axis=1)[:, None] + likeness.mean()
    return centred


def _best_match(likeness: Floats) -> tuple[NDArray[np.int64], float, float]:
    """Whom the best match gives to each; by how many standard deviations of the others these are more alike; and it."""
    from scipy.optimize import linear_sum_assignment

    best = linear_sum_assignment(-likeness)[1]
    matched = np.zeros(likeness.shape, bool)
    matched[np.arange(len(best)), best] = True
    others = likeness[~(matched | np.eye(len(best), dtype=bool))]
    spread = max(float(others.std(ddof=1)), 1e-12)
    return best, float(likeness[matched].mean() - others.mean()) / spread, spread


def _standard(values: Floats) -> Floats:
    """Genes scaled over donors; then each donor's genes centred and scaled."""
    values = values / np.maximum(values.std(axis=0), 1e-12)
    values = values - values.mean(axis=1, keepdims=True)
    scaled: Floats = values / np.maximum(values.std(axis=1, keepdims=True), 1e-12)
    return scaled


@check("biology.donor_swaps", "Donors are the same people in every protocol.", severity="warning", level="full",
       needs=("donor", "protocol", "counts"))  # fmt: skip
def donor_swaps(dataset: CheckedDataset) -> Outcome:
    """Match the donors of every two protocols by genes that differ between people, those of the sexes left aside."""
    matches = dict(_matches(dataset))
    if not matches:
        return Outcome(skipped=f"no two protocols have {_FEWEST_DONORS} donors with cells enough in common")
    found, facts = [], {}
    for (one, other), match in matches.items():
        facts[f"{one} and {other}"] = {
            "donors": match.donors, "separation": round(match.separation, 2), "certainty": round(match.certainty, 4),
            "strangers": match.strangers, "exchanged": match.exchanged if match.alarming else {},
        }  # fmt: skip
        if match.alarming:
            pairs = ", ".join(f"{a} in {one} resembles {b} in {other}" for a, b in match.exchanged.items())
            said = f"donors seem to be exchanged between {one} and {other} (certainty {match.certainty:.1%}): {pairs}"
            hint = "compare genotypes or the laboratory's records before protocols are taken together"
            found.append(Finding(said, dataset.layout.sample_metadata, hint))
    told = [f"{pair}: {own['separation']} SD" for pair, own in facts.items()]
    return Outcome(found, f"how far donors resemble themselves more than others; {'; '.join(told)}", facts)


def _matches(dataset: CheckedDataset) -> Iterator[tuple[tuple[str, str], Match]]:
    study = dataset.study
    names = [name for name in ("donor", "protocol", "sex", "chemistry") if study.knows(name)]
    levels = list(level_columns({"cell_type": study.levels}))
    every = Keys(study, [*names, *levels[:1]])
    keys = every.table.rename(columns=dict.fromkeys(levels[:1], "cell_type"))
    if not levels:
        keys = keys.assign(cell_type="all")
    told = ["donor", "protocol", "cell_type"]
    needed = keys[told].notna().all(axis=1)
    keys = keys.drop(columns=[c for c in ("chemistry",) if c in keys and _differs(keys, c)])
    by = every.groups(keys.where(needed, None))
    enough = (by.table[layout.N_CELLS] >= _FEWEST_CELLS) & by.table[told].notna().all(axis=1)
    in_two = by.table[enough].groupby("donor")["protocol"].nunique()
    if (in_two > 1).sum() < _FEWEST_DONORS:
        return
    number = np.full(len(by) + 1, -1, np.int32)  # the last one is that of cells of no group
    number[np.flatnonzero(enough)] = np.arange(int(enough.sum()))
    own = CellGroups(by.table[enough].reset_index(drop=True), number[by.codes])
    profiles = donor_profiles(own.gene_counts(dataset.atlas, _genes(dataset)), own.table)
    for one, other in combinations(sorted(profiles), 2):
        match = match_donors(profiles[one], profiles[other])
        if match is not None:
            yield (one, other), match


def _differs(keys: pd.DataFrame, column: str) -> bool:
    """Whether a donor has two values of a column in one protocol."""
    return bool((keys.groupby(["donor", "protocol"], observed=True)[column].nunique() > 1).any())


def _genes(dataset: CheckedDataset) -> list[str]:
    """Names of the most widely expressed genes, those that differ between the sexes aside."""
    aside = {*bundled(dataset, "sex_female"), *bundled(dataset, "sex_male")}
    widely = dataset.genes.sort_values(layout.N_CELLS, ascending=False, kind="stable")[layout.GENE_IDS].astype(str)
    symbols: Mapping[str, Any] = dict(zip(dataset.genes[layout.GENE_IDS].astype(str), dataset.genes[layout.GENE],
                                          strict=True))  # fmt: skip
    return [name for name in widely if symbols[name] not in aside][:_GENES_READ]
