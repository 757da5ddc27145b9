"""Stem cells with age: subtypes, programmes, and their order by diffusion pseudotime."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from titin.ageing.analysis import ALPHA, Analysis, Findings, Inputs, main_result
from titin.ageing.comparison import Comparisons, left_out
from titin.ageing.diffusion_pseudotime import diffusion_pseudotime, gaussian_weights
from titin.ageing.donor_means import MIN_CELLS, DonorMeans, cells_that_take_part, compare_donor_means, donor_means
from titin.ageing.linear_models import Floats
from titin.ageing.programmes import name_tests
from titin.ageing.verdict import say_changes
from titin.analysis_options import FORMULA, LABELS, LEVEL, SEED
from titin.analysis_options import MIN_CELLS as MIN_CELLS_OPTION
from titin.atlas import Atlas
from titin.embed import neighbors, pca
from titin.errors import TitinError, reason_of
from titin.features import GeneSetScores, gene_sets, highly_variable, score_gene_sets
from titin.plot import forest, pseudotime
from titin.presets import StemCellStates
from titin.progress import Progress
from titin.section import Section
from titin.study.design import Study, choose_level, level_columns
from titin.study.gaps import say_left_out

PHASE_SETS = ("cell_cycle_S", "cell_cycle_G2M")
MAX_CELLS = 20_000
_FEWEST = 50  # cells of a trajectory
_FEWEST_DRAWN = 24
_FEWEST_MARKERS, _FEWEST_OF_DONOR, _FEWEST_DONORS = 2, 20, 3


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class StemCells(Comparisons):
    """What becomes of stem cells.

    Attributes
    ----------
    table
        One row a feature and protocol; see `compare_donor_means`.
    donors
        One row a donor, protocol and ``feature``: ``mean``, ``n_cells``. Features are ``share of LABEL`` (of the
        donor's stem cells, by the finest labels), sets (mean score), and ``phase S``, ``phase G2M`` (shares of cells).
    cells
        One row a cell of the trajectory: ``cell_id``, ``donor``, ``label``, ``pseudotime`` (0 … 1; missing where no
        path leads there), scores, ``phase``, and the markers' log-normalised values.
    markers
        One row a marker: ``centre``, the mean pseudotime of its expression, with its interval by resampling donors
        (``ci_low``, ``ci_high``), ``n_cells`` that express it, and ``expected``, its place in the expected order.
    labels
        Cell types that were taken for stem cells.
    trajectory
        Its ``protocol``, ``n_cells`` and how many there were to draw ``of``, ``n_neighbors``, ``n_comps``, ``n_genes``,
        ``unreached`` cells, ``seed``; and whether held-out markers follow it, see `follow_markers`.
    """

    donors: pd.DataFrame
    cells: pd.DataFrame
    markers: pd.DataFrame
    labels: list[str]
    trajectory: dict[str, Any]


def stem_cells(
    atlas: Atlas,
    *,
    states: StemCellStates | None = None,
    labels: Sequence[str] | None = None,
    scores: GeneSetScores | None = None,
    cell_type_level: int | str | None = None,
    formula: str | None = None,
    min_cells: int = MIN_CELLS,
    max_cells: int = MAX_CELLS,
    n_neighbors: int = 15,
    n_bootstraps: int = 500,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> StemCells:
    """Compare stem cells between donors, and order them along the way to what they become.

    The trajectory is that of one protocol, the one with most stem cells: principal components of 2,000 highly variable
    genes, the graph of neighbours, and diffusion pseudotime from the cell whose neighbourhood is most at rest. Markers
    are in neither the genes nor the score of rest, so that their order is found and not put in.

    Parameters
    ----------
    atlas
        The dataset.
    states
        How stem cells are found and ordered; as the atlas's preset has it where not given.
    labels
        Cell types that are stem cells; those whose names say so where not given.
    scores
        Scores of all cells that are there already; those of the states are taken from it. Scored among the
        stem cells where not given.
    cell_type_level
        Level of ``labels``; the coarsest where not given. Subtypes are those of the finest level.
    formula, min_cells
        As for `differential_expression`.
    max_cells
        Of the trajectory; drawn, where there are more.
    n_neighbors, n_bootstraps, seed
        Of the graph; resamplings of donors; of everything drawn.
    threads, progress
        For the passes.

    Raises
    ------
    TitinError
        In one sentence, if the preset says nothing of stem cells, or the dataset has no cell types, no stem cells, too
        few of them, or no donors. Without ages there are no tests.
    """
    states = states or atlas.preset.stem_cells
    if states is None:
        raise TitinError("the preset of this dataset says nothing of stem cells",
                         "give --preset muscle, or a preset with a section [stem_cells]")  # fmt: skip
    atlas = atlas.comparable()
    columns = level_columns(atlas.roles)
    level = choose_level(list(columns), cell_type_level)
    study = Study.of(atlas)
    named = study.labels(columns[level]).astype("category")
    chosen = states.labels.find(named.cat.categories) if labels is None else list(labels)
    labelled = named.isin(chosen).to_numpy()
    if not labelled.any():
        raise TitinError(
            f"this dataset has no {states.name}: none of the labels of {level} is called as such",
            "name the labels that are stem cells, if there are any",
        )
    asked = labelled | named.isna().to_numpy()  # what has no label may be one
    complete = cells_that_take_part(atlas, formula=formula, cell_type_levels=[level, list(columns)[-1]], among=asked)
    inside = np.flatnonzero(complete.rows)
    if len(inside) < _FEWEST:
        why = "".join(f" ({said})" for said in say_left_out(complete.cells_left_out, complete.donors_left_out))
        raise TitinError(f"this dataset has too few {states.name}: {len(inside)}, fewer than {_FEWEST}{why}",
                         "name the labels that are stem cells, if there are more")  # fmt: skip
    finest = study.labels(list(columns.values())[-1]).iloc[inside].astype("string")
    if scores is None:
        own = _scores(atlas, states, inside, seed, threads)
    else:
        own = scores.table.reindex(atlas.obs_names[inside])[[name for name in states.states if name in scores.table]]
    features = _features(finest, own)
    means = donor_means(atlas, features, cell_type_level=level)
    means = DonorMeans(means.groups.assign(cell_type=states.name), means.means)
    if "donor" not in means.groups:
        raise TitinError("this dataset has no donors: stem cells are compared between donors",
                         "build it again with --donor COLUMN")  # fmt: skip
    tests = _tests(states, means, formula, min_cells)
    cells, trajectory = _trajectory(
        atlas, states, inside, finest, own, max_cells, n_neighbors, seed, threads, progress or Progress()
    )
    return StemCells(
        tests.table, tests=tests.tests, skipped=tests.skipped, donors=means.by_donor(), cells=cells,
        markers=marker_order(cells, states.markers, n_bootstraps=n_bootstraps, seed=seed), labels=chosen,
        trajectory=trajectory,
        settings={**tests.settings, "cell_type_level": level, "subtype_level": list(columns)[-1]},
        **left_out(complete),
    )  # fmt: skip


def marker_order(
    cells: pd.DataFrame, markers: Sequence[str], *, n_bootstraps: int = 500, seed: int = 0
) -> pd.DataFrame:
    """Say when along the pseudotime markers are expressed.

    Parameters
    ----------
    cells
        ``pseudotime``, ``donor``, and a column a marker.
    markers
        In the order in which they are expected.
    n_bootstraps, seed
        Resamplings of donors.

    Returns
    -------
    DataFrame
        As `StemCells.markers`, by ``centre``.
    """
    known = [gene for gene in markers if gene in cells]
    table = cells.dropna(subset=["pseudotime"])
    donors, which = np.unique(table["donor"].astype(str).to_numpy(), return_inverse=True)
    time = table["pseudotime"].to_numpy(np.float64)
    drawn = np.random.default_rng(seed).multinomial(len(donors), np.full(len(donors), 1 / len(donors)), n_bootstraps)
    rows: list[dict[str, Any]] = []
    for gene in known:
        values = table[gene].to_numpy(np.float64)
        mass = np.bincount(which, values, len(donors))
        moment = np.bincount(which, values * time, len(donors))
        with np.errstate(divide="ignore", invalid="ignore"):
            centres = drawn @ moment / (drawn @ mass)
        centres = centres[np.isfinite(centres)]
        low, high = np.quantile(centres, [0.025, 0.975]) if len(centres) else (np.nan, np.nan)
        rows.append({
            "marker": gene, "centre": moment.sum() / mass.sum() if mass.sum() else np.nan, "ci_low": low,
            "ci_high": high, "n_cells": int((values > 0).sum()), "expected": list(markers).index(gene) + 1,
        })  # fmt: skip
    columns = ["marker", "centre", "ci_low", "ci_high", "n_cells", "expected"]
    return pd.DataFrame(rows, columns=columns).sort_values("centre", ignore_index=True)


def phases(s_score: Floats, g2m_score: Floats) -> pd.Categorical:
    """Phase of each cell by its scores: the higher one, or G1 where both are negative, as scanpy has it."""
    phase = np.where(g2m_score > s_score, "G2M", "S").astype(object)
    phase[(s_score < 0) & (g2m_score < 0)] = "G1"
    return pd.Categorical(phase, ["G1", "S", "G2M"])


def _scores(atlas: Atlas, states: StemCellStates, inside: Any, seed: int, threads: int | None) -> pd.DataFrame:
    known = gene_sets(atlas.preset)
    sets = {name: known[name] for name in states.states if name in known}
    try:
        return score_gene_sets(atlas, sets, cells=inside, seed=seed, threads=threads).table
    except TitinError as error:
        reason_of(error)  # none of these genes
        return pd.DataFrame(index=atlas.obs_names[inside])


def _features(finest: pd.Series, scores: pd.DataFrame) -> pd.DataFrame:
    parts = {str(name): scores[name].astype(np.float64) for name in scores}
    parts |= {f"share of {label}": finest.eq(label).fillna(False).astype(np.float64)
              for label in sorted(finest.dropna().unique())}  # fmt: skip
    if set(PHASE_SETS) <= set(scores):
        phase = _phase(scores)
        parts |= {f"phase {name}": pd.Series(np.asarray(phase == name, float), scores.index) for name in ("S", "G2M")}
    return pd.DataFrame(parts, index=scores.index)


def _phase(scores: pd.DataFrame) -> pd.Categorical:
    return phases(scores["cell_cycle_S"].to_numpy(float), scores["cell_cycle_G2M"].to_numpy(float))


def _tests(states: StemCellStates, means: DonorMeans, formula: str | None, min_cells: int) -> Comparisons:
    families = {str(name): "share" if str(name).startswith(("share", "phase")) else "score" for name in means.means}
    try:
        return compare_donor_means(means, formula=formula, min_cells=min_cells, families=families)
    except TitinError as reason:
        empty = pd.DataFrame(columns=["feature", "protocol", "n_donors", "effect", "p_value", "adj_p_value"])
        return Comparisons(empty, skipped=[{"cell_type": states.name, "protocol": None, "reason": reason_of(reason)}])


def _trajectory(
    atlas: Atlas, states: StemCellStates, inside: Any, finest: pd.Series, scores: pd.DataFrame, most: int,
    n_neighbors: int, seed: int, threads: int | None, progress: Progress,
) -> tuple[pd.DataFrame, dict[str, Any]]:  # fmt: skip
    study = Study.of(atlas, cells=inside)
    kept, protocol = np.ones(len(inside), bool), None
    if study.knows("protocol"):
        of_cell = study.values("protocol").astype("string")
        protocol = str(of_cell.value_counts().index[0])
        kept = (of_cell == protocol).fillna(False).to_numpy(bool)
    places = np.flatnonzero(kept)
    if len(places) > most:
        places = np.sort(np.random.default_rng(seed).choice(places, most, replace=False))
    progress.start("pseudotime", 3, "steps")
    cells = inside[places]
    names = atlas.main_names(states.markers)
    # what is to be told of the markers must not have gone into the order: they are in neither graph nor root
    genes = ~np.asarray(atlas.var_names.isin(list(names.values())))
    if atlas.n_vars > 2000:
        table = highly_variable(atlas, 2000, cells=cells)
        genes &= table["highly_variable"].to_numpy(bool)
    progress.advance(1)
    n_comps = min(30, len(places) - 1, int(genes.sum()) - 1)
    reduced = pca(atlas, n_comps, genes=genes, cells=cells, random_state=seed, threads=threads).scores
    progress.advance(1)
    near = neighbors(reduced, min(n_neighbors, len(places) - 1), random_state=seed, threads=threads)
    weights = gaussian_weights(near.indices, near.distances)
    markers = {gene: atlas[name].to_numpy()[cells].astype(np.float64) for gene, name in names.items()}
    early = _rest(atlas, states, cells)
    smooth = np.asarray(weights @ early).ravel() / np.maximum(np.asarray(weights.sum(axis=1)).ravel(), 1e-12)
    time = diffusion_pseudotime(weights, int(np.argmax(smooth)), seed=seed)
    progress.advance(1)
    progress.finish()
    table = pd.DataFrame({"cell_id": atlas.obs_names[cells], "label": finest.iloc[places].astype(str).to_numpy(),
                          "pseudotime": time})  # fmt: skip
    if study.knows("donor"):
        table.insert(1, "donor", study.values("donor").iloc[places].astype(str).to_numpy())
    for name in scores:
        table[name] = scores[name].to_numpy()[places]
    if set(PHASE_SETS) <= set(scores):
        table["phase"] = _phase(scores.iloc[places])
    table = table.assign(**markers)
    return table, {"protocol": protocol, "n_cells": len(places), "of": int(kept.sum()), "n_neighbors": n_neighbors,
                   "n_comps": n_comps, "n_genes": int(genes.sum()), "unreached": int(np.isnan(time).sum()),
                   "seed": seed, **follow_markers(table, states.markers)}  # fmt: skip


def _rest(atlas: Atlas, states: StemCellStates, cells: Any) -> Floats:
    """How much each cell is at rest: the mean of the set's genes that are no markers, each over its deviation."""
    known = gene_sets(atlas.preset).get(states.resting)
    own = [gene for gene in known.genes if gene not in states.markers] if known else []
    total = np.zeros(len(cells))
    for name in atlas.main_names(own).values():
        values = atlas[name].to_numpy()[cells].astype(np.float64)
        total += (values - values.mean()) / (values.std() or 1.0)
    return total


def follow_markers(cells: pd.DataFrame, markers: Sequence[str]) -> dict[str, float | int | None]:
    """Ask over donors whether markers that had no part in the pseudotime follow it in the order expected of them.

    Parameters
    ----------
    cells
        ``pseudotime``, ``donor``, and a column a marker.
    markers
        In the order in which they are expected.

    Returns
    -------
    dict
        ``r``, the mean over donors with twenty cells or more of Spearman's correlation, within a donor, of the
        pseudotime with the markers (each over its standard deviation, those of the end less those of the beginning);
        its 95 % interval ``ci_low``, ``ci_high`` and ``p_value`` by t over donors, and ``n_donors``. None for fewer
        than three donors.
    """
    from scipy import stats

    table = cells.dropna(subset=["pseudotime"])
    known = [gene for gene in markers if gene in table and table[gene].std() > 0]
    nothing: dict[str, float | int | None] = {"r": None, "ci_low": None, "ci_high": None, "p_value": None,
                                              "n_donors": 0}  # fmt: skip
    if "donor" not in table or len(known) < _FEWEST_MARKERS:
        return nothing
    place = np.array([list(markers).index(gene) for gene in known], float)
    late = (table[known] / table[known].std()).to_numpy(np.float64) @ (place - place.mean())
    found = []
    for rows in table.groupby("donor", observed=True).indices.values():
        time, own = table["pseudotime"].to_numpy()[rows], late[rows]
        if len(rows) >= _FEWEST_OF_DONOR and np.ptp(time) > 0 and np.ptp(own) > 0:
            found.append(float(stats.spearmanr(time, own).statistic))
    if len(found) < _FEWEST_DONORS:
        return nothing | {"n_donors": len(found)}
    test = stats.ttest_1samp(found, 0.0)
    low, high = test.confidence_interval(0.95)
    return {"r": float(np.mean(found)), "ci_low": float(low), "ci_high": float(high), "p_value": float(test.pvalue),
            "n_donors": len(found)}  # fmt: skip


def _say_trajectory(found: StemCells) -> str:
    """Say whether there is a trajectory, and only then in which order markers come."""
    facts = found.trajectory
    if facts["p_value"] is None:
        return f"whether there is a trajectory is not evaluable of {facts['n_donors']} donors with stem cells enough"
    said = (f"r = {facts['r']:+.2f}, {facts['ci_low']:+.2f} to {facts['ci_high']:+.2f}, p = {facts['p_value']:.2g}, "
            f"{facts['n_donors']} donors")  # fmt: skip
    if facts["p_value"] >= ALPHA or facts["r"] <= 0:
        return f"no trajectory: markers that had no part in it do not follow the pseudotime ({said})"
    return (f"markers that had no part in it follow the pseudotime ({said}); their order along it: "
            f"{' → '.join(_order(found))}")  # fmt: skip


def _run(inputs: Inputs, *, labels: Sequence[str] = (), **options: Any) -> Findings:
    return Findings({"": stem_cells(
        inputs.atlas, labels=labels or None, seed=inputs.seed, threads=inputs.threads,
        progress=inputs.progress, **options,
    )})  # fmt: skip


def _order(found: StemCells) -> list[str]:
    return [str(name) for name in found.markers.dropna(subset=["centre"])["marker"]]


def _show(section: Section, findings: Findings, inputs: Inputs) -> None:  # noqa: ARG001
    """Add stem cells: subtypes, programmes, and the way to what they become."""
    found = main_result(findings, StemCells)
    best = name_tests(found.table.drop(columns="cell_type", errors="ignore"), len(found.table))
    if len(best):
        axes = forest(best, label="name", xlabel="change a decade")
        section.figure("changes", axes, "Subtypes and programmes with age", best)
    facts, cells = found.trajectory, found.cells
    markers = found.markers.sort_values("expected")["marker"]
    known = [gene for gene in markers if gene in cells and cells[gene].gt(0).any()]
    if known and len(cells) >= _FEWEST_DRAWN:
        named = f" in {facts['protocol']}" if facts["protocol"] else ""
        title = f"Markers along the pseudotime of {facts['n_cells']:,} stem cells{named}"
        section.figure("pseudotime", pseudotime(cells, markers=known), title, cells)
    order = _order(found)
    told = _say_trajectory(found)
    section.say(f"{told[0].upper()}{told[1:]}. Expected: {' → '.join(markers)}.")
    section.table("markers", found.markers, "Markers along the pseudotime")
    section.table("tests", found.table, "Tests")
    section.facts |= {"cells": facts["n_cells"], "order": order, "trajectory_p": facts["p_value"]}


def _verdict(findings: Findings) -> str:
    found = main_result(findings, StemCells)
    return say_changes(found.table, found.settings, noun="measure of stem cells", label="feature")


STEM_CELLS = Analysis(
    name="stemcells",
    section="stem",
    title="Stem cells",
    summary="Stem cells: states, programmes, pseudotime.",
    help="""Compare the stem cells of DATASET between donors, and order them along the way to what they become.""",
    needs=("donor", "cell_type"),
    preset="stem_cells",
    result=StemCells,
    run=_run,
    show=_show,
    verdict=_verdict,
    statements=lambda found: [_say_trajectory(main_result(found, StemCells))],
    in_report=lambda inputs: {"scores": inputs.scores(), "max_cells": 8_000, "n_bootstraps": 200},
    options=(
        LEVEL, FORMULA, MIN_CELLS_OPTION, SEED, LABELS,
    ),
    reads_all=True,
)  # fmt: skip
