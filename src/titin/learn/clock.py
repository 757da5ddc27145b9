"""Clocks: age told by gene expression, trained on the donors of one dataset and applied to those of another."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from titin.atlas import Atlas, open_atlas
from titin.errors import TitinError
from titin.learn.cells import read_units
from titin.learn.clock_ages import ClockAges, half_width, score_ages, tell_ages
from titin.learn.clock_file import ClockContents, read_clock, write_clock
from titin.learn.clock_training import refuse_unfit, train_clock, unit_types
from titin.learn.models import Model, find_models
from titin.learn.store import key_of, sums_of
from titin.learn.tasks import Rules, check_task, find_tasks
from titin.learn.units import BenchmarkUnits, make_units, read_design
from titin.progress import Progress
from titin.resources import make_resources
from titin.study.conditions import Where
from titin.study.design import AGE
from titin.study.gaps import say_left_out

COVERAGE = 0.95
_ALIKE = 1.5  # how far sums of expression may be apart before values are taken for scaled otherwise
_NAMED = 6


class Clock(BaseEstimator):
    """Tells the age of donors by the expression of their cells.

    1. Cells become units of one donor, type, protocol and chemistry, as in the benchmark (`titin.learn.make_units`).
    2. Each unit's log1p expression, less the training mean of its type and protocol, is weighed by genes: alike for all
       types, or by weights of its type's own.
    3. A donor's age is the median over units; that of a donor and type, over those of the type.
    4. Intervals are of the errors that donors of the training dataset had when they were held out.

    Parameters
    ----------
    model
        A linear one of the benchmark, or its name: ``ridge_by_type`` (Buckley's clocks by cell type), ``ridge``,
        ``elastic_net``, ``pls``.
    seed
        Of pseudocells and folds.

    Attributes
    ----------
    contents_
        What a file of the clock holds.
    scores_
        Of training donors, each held out: ``mae``, ``rmse``, ``r2``, ``n_donors``, and ``baseline_mae``, that of the
        mean of the others.
    cell_types_
        One row a type, with the errors of donors held out; an empty name is all types.
    donors_
        Training donors: ``donor``, ``age``, ``predicted`` (held out; NaN of those with too few cells).

    References
    ----------
    Buckley et al., Nature Aging 3, 121-137 (2023): a clock for each cell type, of pseudocells.

    Examples
    --------
    >>> clock = Clock("ridge").fit("one/dataset")  # doctest: +SKIP
    >>> clock.save("mine.clock")  # doctest: +SKIP
    >>> Clock.load("mine.clock").predict("other/dataset").table  # doctest: +SKIP
    """

    def __init__(self, model: str | Model = "ridge_by_type", *, seed: int = 0) -> None:
        self.model = model
        self.seed = seed

    def fit(
        self, dataset: Atlas | str | Path, y: None = None, *, task: str = "age",  # noqa: ARG002
        where: Where | Mapping[str, Any] | Sequence[str] | None = None, rules: Rules | None = None,
        chosen_of: Sequence[str] = (),
        threads: int | None = None, memory: int | str | None = None, progress: Progress | None = None,
    ) -> Self:  # fmt: skip
        """Train on the donors of a dataset.

        Parameters
        ----------
        dataset
            A dataset folder, or an open one.
        y
            Not used; ages are the dataset's.
        task
            ``age``, ``age_years`` or ``age_numeric``.
        where
            Cells that take part, as for `titin.learn.run_benchmark`.
        rules
            As for `titin.learn.run_benchmark`.
        chosen_of
            Names of the models of which this one was chosen for its error.
        threads, memory
            As for `titin.open`.

        Raises
        ------
        TitinError
            If the model is not linear in genes, or the dataset has too few donors of known age.
        """
        model = self._model()
        refuse_unfit(model)
        atlas, threads = _open(dataset, threads, memory)
        conditions = Where.of(where)
        design, _ = read_design(atlas, conditions)
        found = find_tasks(design, [task])[0]
        if not found.name.startswith("age_") or found.kind != "regression":
            raise TitinError(f"{found.name} is no age in years", "clocks are of age, age_years or age_numeric")
        self._take(train_clock(
            atlas, design, check_task(found, design, rules), model, seed=self.seed, threads=threads,
            chosen_of=chosen_of, where=[str(one) for one in conditions.conditions], progress=progress,
        ))  # fmt: skip
        return self

    def _model(self) -> Model:
        if isinstance(self.model, Model):
            return self.model
        return next(found for found in find_models([self.model]) if found.name == self.model)

    def _take(self, contents: ClockContents) -> None:
        document = contents.document
        self.contents_ = contents
        self.scores_ = dict(document["scores"])
        self.cell_types_ = pd.DataFrame(document["cell_types"]).astype({"mae": float, "rmse": float})
        self.donors_ = pd.DataFrame(document["donors"]).astype({"age": float, "predicted": float})

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the clock to one file; see `titin.learn.clock_file`.

        Raises
        ------
        OutputError
            If the file is there and ``force`` is not given, or cannot be written.
        """
        write_clock(self.contents_, Path(path), force=force)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a clock; it can predict, and be trained anew if its model is one of titin's.

        Raises
        ------
        TitinError
            If the file is no clock in every respect.
        """
        contents = read_clock(Path(path))
        clock = cls(contents.document["model"]["name"], seed=contents.document["model"]["seed"])
        clock._take(contents)
        return clock

    def predict(
        self, dataset: Atlas | str | Path, *, coverage: float = COVERAGE,
        where: Where | Mapping[str, Any] | Sequence[str] | None = None, threads: int | None = None,
        memory: int | str | None = None, progress: Progress | None = None,
    ) -> ClockAges:  # fmt: skip
        """Tell the ages of the donors of a dataset, which need not have any.

        Parameters
        ----------
        dataset
            A dataset folder, or an open one.
        coverage
            Of the intervals.
        where
            As for `fit`.
        threads, memory
            As for `titin.open`.

        Raises
        ------
        TitinError
            If the dataset has no donors, none of the genes, no cell of a type that the clock knows, or values of
            another kind.
        """
        document = self.contents_.document
        atlas, threads = _open(dataset, threads, memory)
        told: list[str] = []
        conditions = Where.of(where)
        design, complete = read_design(atlas, conditions)
        told += say_left_out(complete.cells_left_out, complete.donors_left_out)
        is_log = atlas.manifest.value_kind.has_counts
        if is_log != document["values"]["is_log"]:
            kinds = {True: "logarithms of expression", False: "values of another kind"}
            raise TitinError(f"the clock goes by {kinds[document['values']['is_log']]}, the dataset holds "
                             f"{kinds[is_log]}", "give a dataset of the same kind of values")  # fmt: skip
        if "donor" not in design or not design["donor"].notna().any():
            raise TitinError("the dataset has no donors", "build it again with --donor COLUMN")
        units = make_units(design, document["model"]["level"], seed=document["model"]["seed"])
        units = self._known_units(units, told)
        X, there = self._read(atlas, units, threads, told, progress)
        predicted = self._weigh(X, units.obs, there)
        ages = units.obs[AGE].to_numpy(float) if AGE in units.obs else np.full(len(units), np.nan)
        table = pd.DataFrame({"donor": units.obs["donor"].astype(str), "cell_type": unit_types(units.obs),
                              "age": ages, "predicted": predicted, "n_cells": units.obs["n_cells"]})  # fmt: skip
        settings = {"coverage": coverage, "where": [str(one) for one in conditions.conditions]}
        return self._tell(table, design, atlas, there, settings, told)

    def _known_units(self, units: BenchmarkUnits, told: list[str]) -> BenchmarkUnits:
        """Units of the types that the clock was trained on."""
        known = {group["cell_type"] for group in self.contents_.document["groups"]}
        kinds = unit_types(units.obs)
        strange = sorted(set(kinds) - known)
        if strange:
            more = f" and {len(strange) - _NAMED} more" if len(strange) > _NAMED else ""
            told.append(f"cell types that the clock was not trained on take no part: {', '.join(strange[:_NAMED])}"
                        f"{more}")  # fmt: skip
        rows = np.flatnonzero(kinds.isin(known).to_numpy() & (kinds != "").to_numpy() | (known == {""}))
        if not len(rows):
            raise TitinError("no cells are of a type that the clock was trained on, or too few of one type",
                             f"it knows: {', '.join(sorted(known - {''})) or 'none'}")  # fmt: skip
        place = np.full(len(units) + 1, -1)
        place[rows] = np.arange(len(rows))
        return BenchmarkUnits(units.level, units.obs.iloc[rows].reset_index(drop=True), place[units.of_cell])

    def _read(
        self, atlas: Atlas, units: BenchmarkUnits, threads: int, told: list[str], progress: Progress | None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Values of the clock's genes, units × genes, and which of them the dataset has."""
        document, arrays = self.contents_.document, self.contents_.arrays
        at = _find_genes(atlas, document["genes"])
        there = at >= 0
        if not there.any():
            raise TitinError("the dataset has none of the clock's genes",
                             f"it asks for {', '.join(gene['name'] for gene in document['genes'][:3])} …")  # fmt: skip
        positions, column = np.unique(at[there], return_inverse=True)
        read = read_units(atlas, {units.level: (units, positions)}, threads=threads, progress=progress)[units.level]
        values = np.asarray(read if isinstance(read, np.ndarray) else read.toarray(), np.float32)
        X = np.zeros((len(units), len(there)), np.float32)
        X[:, there] = values[:, column]
        missing = int((~there).sum())
        if missing:
            told.append(f"{missing:,} of the clock's {len(there):,} genes are missing here, which carry "
                        f"{self._weight_of(~there):.1%} of its weight: they are taken to be at the mean")  # fmt: skip
        if document["values"]["is_log"]:
            linear = np.expm1(X[:, there])
            expected, found = arrays["expression"][there].sum(), float(linear.mean(axis=0, dtype=np.float64).sum())
            if found > 0 and not 1 / _ALIKE < found / expected < _ALIKE:
                X[:, there] = np.log1p(linear * (expected / found))
                told.append(f"the same genes have {found / expected:.3g} times the expression here that they had in "
                            "training: values were scaled to that")  # fmt: skip
        return X, there

    def _weight_of(self, genes: NDArray[np.bool_]) -> float:
        """Share of the clock's weight that some genes carry: of the sum of absolute coefficients."""
        size = np.abs(self.contents_.arrays["coef"]).sum(axis=0, dtype=np.float64)
        return float(size[genes].sum() / size.sum()) if size.sum() > 0 else 0.0

    def _weigh(self, X: NDArray[np.float32], obs: pd.DataFrame, there: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Age of each unit; a gene that is missing is at its mean."""
        document, arrays = self.contents_.document, self.contents_.arrays
        groups = {(group["cell_type"], group["protocol"]): i for i, group in enumerate(document["groups"])}
        parts = {kind: i for i, kind in enumerate(document["parts"])}
        kinds = unit_types(obs)
        protocols = obs["protocol"].astype(str) if "protocol" in obs else pd.Series("", obs.index)
        predicted = np.full(len(obs), float(document["age"]["mean"]))
        for (kind, protocol), rows in pd.Series(range(len(obs))).groupby([kinds.to_numpy(), protocols.to_numpy()]):
            own = next(groups[key] for key in ((kind, protocol), (kind, ""), ("", "")) if key in groups)
            part = parts.get(kind, parts.get("", -1))
            if part >= 0:
                centred = np.where(there, X[rows.to_numpy()] - arrays["means"][own], 0)
                predicted[rows.to_numpy()] = centred @ arrays["coef"][part] + arrays["intercept"][part]
        return predicted

    def _tell(
        self, units: pd.DataFrame, design: pd.DataFrame, atlas: Atlas, there: NDArray[np.bool_],
        settings: dict[str, Any], told: list[str],
    ) -> ClockAges:  # fmt: skip
        document = self.contents_.document
        known = self.cell_types_.set_index("cell_type")
        half = {str(kind): half_width(row["rmse"], int(row["n_held_out"]), settings["coverage"])
                for kind, row in known.to_dict("index").items()}  # fmt: skip
        donors = tell_ages(units, ["donor"], half)
        fitted = {str(kind) for kind, own in known["fitted"].items() if own}
        own = units[units["cell_type"].isin(fitted)] if document["parts"] != [""] else units
        by_type = tell_ages(own, ["donor", "cell_type"], half)
        unseen = sorted(set(design["donor"].dropna().astype(str)) - set(donors["donor"]))
        if unseen:
            told.append(f"too few cells of one known type, so not told: {', '.join(unseen)}")
        own_age = donors["donor"].map(self.donors_.set_index("donor")["age"])
        donors["trained_on"] = own_age.notna() & ~((donors["age"] - own_age).abs() > 1)
        trained = set(donors.loc[donors["trained_on"], "donor"])
        if trained:
            told.append(f"{len(trained)} donors have name and age of one that trained the clock: if they are the same "
                        "people, their ages are told too well; the scores are without them")  # fmt: skip
        if donors["age"].notna().sum() < 5:
            told.append("fewer than five donors of known age: no acceleration")
        age = document["age"]
        outside = donors.loc[(donors["age"] < age["lowest"]) | (donors["age"] > age["highest"]), "donor"]
        if len(outside):
            told.append(f"older or younger than all training donors ({age['lowest']:g} to {age['highest']:g} years): "
                        f"{', '.join(outside)}")  # fmt: skip
        new = donors[~donors["trained_on"]]
        types = [
            self._type_row(str(kind), rows[~rows["donor"].isin(trained)]) for kind, rows in by_type.groupby("cell_type")
        ]
        chosen = document["model"]["chosen_of"]
        if len(chosen) > 1:
            told.append(f"the clock is the best of {len(chosen)} models: its own held-out error is optimistic, and "
                        "intervals are a little narrow")  # fmt: skip
        weight = self._weight_of(~there)
        facts = {key: document[key] for key in ("titin", "model", "age", "dataset", "scores")}
        return ClockAges(
            donors, by_type=by_type, types=pd.DataFrame(types),
            clock={**facts, "of_same_dataset": _digest(atlas) == document["dataset"]["sha256"]},
            genes={"asked": len(there), "found": int(there.sum()), "missing_weight": weight},
            scores=score_ages(new, float(age["mean"])), told=told, settings=settings,
        )  # fmt: skip

    def _type_row(self, kind: str, donors: pd.DataFrame) -> dict[str, Any]:
        scores = score_ages(donors, float(self.contents_.document["age"]["mean"]))
        held = self.cell_types_.set_index("cell_type")["mae"]
        return {"cell_type": kind, "n_donors": len(donors), "mae": scores.get("mae", np.nan),
                "r2": scores.get("r2", np.nan), "held_out_mae": float(held.get(kind, np.nan))}  # fmt: skip


def _open(dataset: Atlas | str | Path, threads: int | None, memory: int | str | None) -> tuple[Atlas, int]:
    threads = make_resources(threads).threads
    atlas = dataset if isinstance(dataset, Atlas) else open_atlas(dataset, memory=memory or "2GiB", threads=threads)
    return atlas.comparable(), threads


def _find_genes(atlas: Atlas, genes: Sequence[dict[str, str]]) -> NDArray[np.int64]:
    """Position of each gene, by its id without version, else by its name in var or symbol; -1 where it is not there."""
    axis = atlas.reader.genes
    by_id = {str(name).partition(".")[0]: i for i, name in enumerate(axis.ids)}
    found = np.full(len(genes), -1, np.int64)
    for i, gene in enumerate(genes):
        places = axis.finder.places(gene["name"])
        found[i] = by_id.get(gene["id"].partition(".")[0] or "-", places[0] if len(places) == 1 else -1)
    return found


def _digest(atlas: Atlas) -> str:
    return key_of(files=sums_of(atlas.manifest))
