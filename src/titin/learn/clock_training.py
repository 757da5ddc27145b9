"""How a clock is trained: every donor held out in turn, as in the benchmark, then one fit to all of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin import __version__
from titin.atlas import Atlas
from titin.errors import TitinError
from titin.learn import metrics
from titin.learn.cells import Gathered, gather_moments, gather_units
from titin.learn.clock_ages import score_ages
from titin.learn.clock_file import FORMAT, VERSION, ClockContents
from titin.learn.features import BETWEEN, Centred, WithType
from titin.learn.fitting import fit_features, fit_model, run_fold
from titin.learn.folds import Fold, make_splits
from titin.learn.models import Model, TrainingContext, make_features
from titin.learn.plan import BenchmarkJob, genes_needed, level_of, plan_folds, usable_units
from titin.learn.store import key_of, sums_of
from titin.learn.tasks import Eligibility, Task
from titin.learn.units import make_units
from titin.progress import Progress

_PROBES = 512  # genes asked about at a time
_CHECKED = 1000  # training units, about, on which it is checked that a model is linear
_TOLERANCE = 0.01  # years


def refuse_unfit(model: Model) -> None:
    """Refuse a model that no clock can be made of.

    Raises
    ------
    TitinError
        If `can_be_clock` says that none can.
    """
    if not can_be_clock(model):
        raise TitinError(f"no clock can be made of {model.name}@{model.features}, only of what weighs single genes",
                         "name ridge, ridge_by_type, elastic_net or pls with --model")  # fmt: skip


def can_be_clock(model: Model) -> bool:
    """Whether a model may be made a clock: it sees genes less their mean by type and protocol, and is no baseline."""
    if model.baseline or model.features.startswith("X_") or model.features == "loader":
        return False
    maker: Any = make_features("centred" if model.features == "task" else model.features)
    return isinstance(maker.inner if isinstance(maker, WithType) else maker, Centred)


@dataclass(frozen=True)
class _Affine:
    """A fitted model as numbers: parts × genes.

    Attributes
    ----------
    kinds
        Cell type of each part; ``""`` is all of them.
    coef, intercept
        Years a unit of the genes' values less their means, and years.
    """

    kinds: list[str]
    coef: NDArray[np.float64] = field(repr=False)
    intercept: NDArray[np.float64] = field(repr=False)


def train_clock(
    atlas: Atlas, design: pd.DataFrame, eligibility: Eligibility, model: Model, *, seed: int, threads: int,
    chosen_of: Sequence[str] = (), where: Sequence[str] = (), progress: Progress | None = None,
) -> ClockContents:  # fmt: skip
    """Train a clock.

    Parameters
    ----------
    design
        From `titin.learn.atlas_design`.
    eligibility
        Of the task of age.
    model
        What `refuse_unfit` does not refuse.
    chosen_of
        Names of the models that it was the best of, if it was chosen for its error.
    where
        By what conditions the cells were chosen.

    Raises
    ------
    TitinError
        If the ages of donors cannot be learnt of this dataset.
    """
    task = eligibility.task
    split = make_splits(design, seed)[0].get("leave_one_donor_out")
    if eligibility.problem or split is None:
        raise TitinError(f"no clock can be trained: {eligibility.problem or 'no donor can be held out'}",
                         "give a dataset with donors of several ages")  # fmt: skip
    model = model.for_task(task)
    units = make_units(design, level_of(model, task, split), seed=seed)
    job = BenchmarkJob(task, split, model, units.level)
    folds, _ = plan_folds(job, eligibility, units)
    everyone = np.flatnonzero(usable_units(eligibility, units))
    last = Fold(len(split.folds), everyone, everyone)
    if len(folds) < 3:
        raise TitinError(f"no clock can be trained: {len(folds)} donors have enough cells of one type",
                         "give more donors")  # fmt: skip
    moments = gather_moments(atlas, design, threads=threads, progress=progress)
    genes = genes_needed([(job, [*folds, last])], {units.level: units}, atlas, moments)
    data = gather_units(moments, atlas, {units.level: (units, genes[units.level])}, threads=threads,
                        progress=progress)[units.level]  # fmt: skip
    held_out = pd.concat([_hold_out(model, task, data, fold, seed) for fold in folds], ignore_index=True)
    return _contents(model, job, data, last, held_out, atlas, seed, list(chosen_of), list(where))


def _hold_out(model: Model, task: Task, data: Gathered, fold: Fold, seed: int) -> pd.DataFrame:
    features = fit_features(model.features, data, fold, task, model.max_units)
    return run_fold(model, task, data, fold, features, seed=seed).predictions


def _contents(
    model: Model, job: BenchmarkJob, data: Gathered, fold: Fold, held_out: pd.DataFrame, atlas: Atlas, seed: int,
    chosen_of: list[str], where: list[str],
) -> ClockContents:  # fmt: skip
    task, obs = job.task, data.units.obs
    features = fit_features(model.features, data, fold, task, model.max_units)
    context = TrainingContext(task, features.maker.names, len(features.rows), seed)
    estimator = fit_model(model, context, data, features)
    maker: Any = features.maker
    centred: Centred = maker.inner if isinstance(maker, WithType) else maker
    affine = _affine(estimator, maker, centred, obs, features.X)
    ages = obs.iloc[fold.train].groupby(obs["donor"].iloc[fold.train].astype(str))[task.column].median()
    donors = metrics.donor_predictions(held_out)
    scores = score_ages(donors.rename(columns={"true": "age"}), float(ages.mean()))
    scores["baseline_mae"] = _baseline(ages.loc[donors["donor"]])
    told = donors.set_index("donor")["predicted"].to_dict()
    linear = np.expm1(data.take(fold.train, centred.genes_)) if data.moments.is_log else None
    names = atlas.reader.genes
    means = {_split_key(key): mean for key, mean in centred.means_.items()}
    document = {
        "format": FORMAT, "version": VERSION, "titin": __version__,
        "model": {"name": model.name, "features": model.features, "level": job.level, "seed": seed,
                  "chosen_of": chosen_of},
        "age": {"column": task.column, "mean": float(ages.mean()), "lowest": float(ages.min()),
                "highest": float(ages.max())},
        "values": {"is_log": data.moments.is_log,
                   "what": "log1p of the mean over a unit's cells of count / total × target, or as the source has it"
                   if data.moments.is_log else "mean over a unit's cells"},
        "dataset": {"name": atlas.store.name.rstrip("/").rsplit("/", 1)[-1],
                    "sha256": key_of(files=sums_of(atlas.manifest)), "where": where},
        "genes": [{"name": str(names.index[i]), "id": str(names.ids[i])} for i in centred.genes_],
        "groups": [{"cell_type": kind, "protocol": protocol} for kind, protocol in means],
        "parts": affine.kinds,
        "cell_types": _cell_types(affine, obs.iloc[fold.train], obs, held_out),
        "scores": scores,
        "donors": [{"donor": name, "age": float(age), "predicted": told.get(name)} for name, age in ages.items()],
    }  # fmt: skip
    arrays = {
        "coef": affine.coef.astype(np.float32),
        "intercept": affine.intercept,
        "means": np.array(list(means.values()), np.float32),
        "expression": np.zeros(len(centred.genes_)) if linear is None else linear.mean(axis=0, dtype=np.float64),
    }
    return ClockContents(document, arrays)


def _baseline(ages: pd.Series) -> float:
    """Mean error of the mean of the other donors."""
    n = len(ages)
    return float((ages - ages.mean()).abs().mean() * n / (n - 1))


def _split_key(key: str) -> tuple[str, str]:
    kind, _, protocol = str(key).partition(BETWEEN)
    return kind, protocol


def _affine(estimator: Any, maker: Any, centred: Centred, obs: pd.DataFrame, X: Any) -> _Affine:
    """Ask a fitted model what each gene weighs, whatever it is made of.

    Raises
    ------
    TitinError
        If what it tells of the training units does not follow from that: it is not linear.
    """
    by_type = isinstance(maker, WithType)
    kinds = [""]
    if by_type and "cell_type_0" in obs:
        kinds = obs["cell_type_0"].cat.categories.astype(str).tolist()
    n = len(centred.genes_)
    coef, intercept = np.zeros((len(kinds), n)), np.zeros(len(kinds))
    for i in range(len(kinds)):
        first = [np.full(_PROBES, float(i))] if by_type else []
        intercept[i] = _ask(estimator, np.column_stack([*(one[:1] for one in first), np.zeros((1, n))]))[0]
        for start in range(0, n, _PROBES):
            size = min(_PROBES, n - start)
            probes = np.eye(size, n, start)
            coef[i, start : start + size] = _ask(estimator, np.column_stack([*(one[:size] for one in first), probes]))
        coef[i] -= intercept[i]
    values = np.asarray(X[:: max(1, len(X) // _CHECKED)], np.float64)
    code = values[:, 0].astype(int) if by_type else np.zeros(len(values), int)
    told = np.einsum("ij,ij->i", values[:, int(by_type) :], coef[code]) + intercept[code]
    if not np.allclose(told, _ask(estimator, values), rtol=0, atol=_TOLERANCE):
        raise TitinError("this model is not linear in its genes, and no clock can be made of it",
                         "name ridge, ridge_by_type, elastic_net or pls")  # fmt: skip
    coef = coef / centred.scale_  # which is infinite of a gene that does not vary
    if by_type and "cell_type_0" in obs:
        seen = np.flatnonzero([kind in set(obs["cell_type_0"].astype(str)) for kind in kinds])
        kinds, coef, intercept = [kinds[i] for i in seen], coef[seen], intercept[seen]
    return _Affine(kinds, coef, intercept)


def _ask(estimator: Any, X: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(estimator.predict(X), np.float64).ravel()


def _cell_types(
    affine: _Affine, trained: pd.DataFrame, obs: pd.DataFrame, held_out: pd.DataFrame
) -> list[dict[str, Any]]:  # fmt: skip
    """What is known of each cell type: training donors, errors of held-out donors, whether it has own weights."""
    kind = unit_types(obs)
    units = held_out.assign(kind=kind.iloc[held_out["unit"]].to_numpy())
    donors = units.groupby(["kind", "donor"])[["true", "predicted"]].median().reset_index()
    weighs = {kind: bool(own.any()) for kind, own in zip(affine.kinds, affine.coef, strict=True)}
    everyone = metrics.donor_predictions(held_out)
    of_all = {"cell_type": "", "n_donors": int(trained["donor"].nunique()), **_errors(everyone),
              "fitted": weighs.get("", False)}  # fmt: skip
    found = [of_all]
    own = unit_types(trained)
    for name in sorted(set(own) - {""}):
        mine = donors[donors["kind"] == name]
        found.append({"cell_type": name, "n_donors": int(trained.loc[own == name, "donor"].nunique()), **_errors(mine),
                      "fitted": weighs.get(name, weighs.get("", False))})  # fmt: skip
    return found


def _errors(donors: pd.DataFrame) -> dict[str, Any]:
    error = (donors["predicted"] - donors["true"]).to_numpy(float)
    few = len(error) < 2
    return {"n_held_out": len(error), "mae": None if few else float(np.abs(error).mean()),
            "rmse": None if few else float(np.sqrt((error**2).mean()))}  # fmt: skip


def unit_types(obs: pd.DataFrame) -> pd.Series:
    """The coarsest cell type of each unit, as text; empty where there is none."""
    if "cell_type_0" not in obs:
        return pd.Series("", obs.index)
    return obs["cell_type_0"].astype(object).where(obs["cell_type_0"].notna(), "").astype(str)
