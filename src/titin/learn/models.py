"""Models as records: a name, what makes a scikit-learn estimator, what it sees, and what it can do.

Models of others come in by entry points of the group ``titin.models`` (each a `Model`), or as ``package.module:NAME``,
a `Model` or anything that makes an estimator when called. ``name@features`` runs a model on other features.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Literal

from titin.errors import TitinError
from titin.extras import check_installed, require
from titin.learn.features import (
    Centred,
    ClassGenes,
    Components,
    DesignFeatures,
    FeatureMaker,
    GeneFeatures,
    MarkerRatios,
    ProjectionFeatures,
    QualityFeatures,
    SetMeans,
    SetScores,
    TopTokens,
    WithType,
    expressed_genes,
)
from titin.learn.tasks import Kind, Level, Task
from titin.study.design import YOUNG_OLD

SEX_SETS = ("sex_female", "sex_male")


@dataclass(frozen=True)
class TrainingContext:
    """What a model may know when its estimator is made.

    Attributes
    ----------
    task
        The task.
    names
        Of the features.
    n_units
        Training units.
    seed
        For whatever is random.
    threads
        For whatever is parallel.
    sparse
        Whether the features are a sparse matrix.
    """

    task: Task
    names: Sequence[str]
    n_units: int
    seed: int = 0
    threads: int = 1
    sparse: bool = False


@dataclass(frozen=True)
class Model:
    """A model of the benchmark.

    Attributes
    ----------
    name
        As on the command line and in the leaderboard.
    make
        From a `TrainingContext` makes an unfitted estimator; or from nothing, as a class does.
    kinds
        Kinds of tasks it can do.
    features
        Name of what it sees: ``task`` for what the task says, a key of `FEATURES`, ``X_…`` for a projection of the
        dataset, ``loader`` for cells as the `titin.Loader` gives them.
    tasks
        Names of the only tasks it is for; all of its kinds if empty. A name ending in ``*`` is a beginning.
    level
        What it sees units of, if not what the task says.
    baseline
        Whether it is there to be beaten.
    default
        Whether it is run when no model is named.
    several
        Whether it can fit several targets at a time, which makes exact permutation tests cheap.
    max_units
        Most units it is trained on, drawn evenly over donors and classes; None for all.
    needs
        The extra of titin that it needs.
    reference
        Where it is from.
    column
        Column of the design table that it goes by; where there is none, it would be the mean, and is not run.
    """

    name: str
    make: Callable[..., Any]
    kinds: tuple[Kind, ...] = ("classification",)
    features: str = "task"
    tasks: tuple[str, ...] = ()
    level: Level | None = None
    baseline: bool = False
    default: bool = True
    several: bool = False
    max_units: int | None = 20_000
    needs: str = ""
    reference: str = ""
    column: str = ""

    @property
    def track(self) -> Literal["inductive", "transductive"]:
        """Transductive where the features were made with all donors."""
        return "transductive" if self.features.startswith("X_") else "inductive"

    def suits(self, task: Task) -> bool:
        """Whether the model can do a task."""
        named = not self.tasks or any(
            task.name == name or (name.endswith("*") and task.name.startswith(name[:-1])) for name in self.tasks
        )
        return named and task.kind in self.kinds and (task.kind != "regression" or self.features not in CLASS_FEATURES)

    def for_task(self, task: Task) -> "Model":
        """The model with the features that it sees in a task."""
        features = task.features if self.features == "task" else self.features
        return replace(self, features=f"{features}:{task.column}" if features in CLASS_FEATURES else features)

    def estimator(self, context: TrainingContext) -> Any:
        """Make an unfitted estimator."""
        takes = [p for p in inspect.signature(self.make).parameters.values() if p.default is p.empty]
        takes = [p for p in takes if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        from sklearn import config_context

        with config_context(enable_metadata_routing=True):  # without which nobody may say what a part is to be told
            return self.make(context) if takes else self.make()


FEATURES: dict[str, Callable[[], FeatureMaker]] = {
    "hvg": GeneFeatures,
    "pca": Components,
    "expressed": lambda: GeneFeatures(expressed_genes, 4000),
    "centred": lambda: Centred(leave_out=SEX_SETS),
    "centred_all": Centred,
    "centred_pca": lambda: Components(Centred(leave_out=SEX_SETS)),
    "gene_sets": SetScores,
    "markers": MarkerRatios,
    "quality": QualityFeatures,
    "tokens": TopTokens,
    "sex_genes": lambda: SetMeans(SEX_SETS),
    "type_markers": lambda: SetMeans(("markers_*",)),
    "facts": DesignFeatures,
}
# of the classes of a column, which is the task's: name:column
CLASS_FEATURES: dict[str, Callable[[str], FeatureMaker]] = {
    "class_genes": lambda column: ClassGenes(column=column),
    "class_pca": lambda column: Components(ClassGenes(column=column)),
}


def make_features(name: str) -> FeatureMaker:
    """Make an unfitted maker of features.

    Raises
    ------
    TitinError
        If there are no such features.
    """
    if name.startswith("X_"):
        return ProjectionFeatures(name)
    if name.startswith("type+"):
        return WithType(make_features(name.removeprefix("type+")))
    kind, _, column = name.partition(":")
    if kind in CLASS_FEATURES:
        return CLASS_FEATURES[kind](column)
    if name not in FEATURES:
        known = ", ".join([*FEATURES, *CLASS_FEATURES])
        raise TitinError(f"there are no features {name!r}", f"features: {known}, X_…, loader")
    return FEATURES[name]()


def all_models() -> dict[str, Model]:
    """Return every model by name: titin's own, then those of installed packages.

    Raises
    ------
    TitinError
        If an entry point is not a `Model`.
    """
    found = {model.name: model for model in MODELS}
    for point in entry_points(group="titin.models"):
        model = point.load()
        if not isinstance(model, Model):
            raise TitinError(f"the entry point {point.name!r} of {point.value} is no titin.learn.Model", "mend it")
        found[model.name] = model
    return found


def find_models(names: Sequence[str | Model] = ()) -> list[Model]:
    """Return the models that are named, or those that are run when none is; baselines are always among them.

    Parameters
    ----------
    names
        ``name``, ``name@features``, ``package.module:NAME``, also with ``@features``; or records.

    Raises
    ------
    TitinError
        If there is no such model.
    """
    known = all_models()
    baselines = [model for model in known.values() if model.baseline]
    if not names:
        return [model for model in known.values() if model.default]
    chosen = []
    for text in names:
        if isinstance(text, Model):
            chosen.append(text)
            continue
        name, _, features = text.partition("@")
        if name in known:
            model = known[name]
        elif ":" in name:
            model = _imported(name)
        else:
            raise TitinError(f"there is no model {name!r}", f"models: {', '.join(known)}, or package.module:NAME")
        if features:
            make_features(features)
            model = replace(model, name=text, features=features)
        chosen.append(model)
    return [*baselines, *(model for model in dict.fromkeys(chosen) if model not in baselines)]


def _imported(text: str) -> Model:
    """A model by its place: a `Model`, or a class or function that makes estimators."""
    module, _, attribute = text.partition(":")
    try:
        found = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise TitinError(f"{text} cannot be imported: {error}", "give package.module:NAME") from error
    if isinstance(found, Model):
        return found
    if not callable(found):
        raise TitinError(f"{text} is neither a Model nor something that makes an estimator", "give one of them")
    from sklearn.base import is_classifier, is_regressor

    try:
        made = Model(text, found).estimator(TrainingContext(Task(text, "", "regression", "cell", ""), [], 0))
    except Exception as error:
        raise TitinError(
            f"{text} makes no estimator: {error}", "it must be callable, with a TrainingContext or nothing"
        ) from error
    kinds: tuple[Kind, ...] = ()
    kinds += ("regression",) if is_regressor(made) else ()
    kinds += ("classification",) if is_classifier(made) else ()
    return Model(text, found, kinds=kinds or ("regression", "classification"))


_REGRESSION: tuple[Kind, ...] = ("regression",)
_AGE = ("age_*",)


def _mean(context: TrainingContext) -> Any:  # noqa: ARG001
    from titin.learn.estimators import GroupMean

    return GroupMean()


def _median(context: TrainingContext) -> Any:  # noqa: ARG001
    from titin.learn.estimators import GroupMean

    return GroupMean(statistic="median")


def _sex_only(context: TrainingContext) -> Any:
    from titin.learn.estimators import GroupMajority, GroupMean

    return GroupMean("sex") if context.task.kind == "regression" else GroupMajority("sex")


def _oracle(context: TrainingContext) -> Any:  # noqa: ARG001
    from titin.learn.estimators import GroupMean

    return GroupMean(YOUNG_OLD)


def _majority(context: TrainingContext) -> Any:
    from titin.learn.estimators import GroupMajority

    return GroupMajority(by_donor=context.task.of_donor)


def _sex_rule(context: TrainingContext) -> Any:  # noqa: ARG001
    from titin.learn.estimators import MarkerRule

    return MarkerRule(("female", "male"))


def _type_rule(context: TrainingContext) -> Any:
    from titin.learn.estimators import MarkerRule

    return MarkerRule(tuple(name.removeprefix("markers_") for name in context.names))


def _ridge(context: TrainingContext) -> Any:  # noqa: ARG001
    from titin.learn.estimators import DonorRidge

    return DonorRidge()


def _ridge_by_type(context: TrainingContext) -> Any:  # noqa: ARG001
    from titin.learn.estimators import DonorRidge, PerTypeRegressor

    return PerTypeRegressor(DonorRidge())


def _elastic_net(context: TrainingContext) -> Any:  # noqa: ARG001
    from sklearn.linear_model import ElasticNet

    from titin.learn.tuning import TunedOverDonors

    # the strongest penalty first, as it is chosen where several do alike
    net = ElasticNet(alpha=1.0, l1_ratio=0.5, tol=1e-3, max_iter=2000)
    return TunedOverDonors(net, {"alpha": (10.0, 3.0, 1.0, 0.3)})


def _pls(context: TrainingContext) -> Any:
    from titin.learn.estimators import PartialLeastSquares
    from titin.learn.tuning import TunedOverDonors

    most = max(1, context.n_units - 1)
    least_squares = PartialLeastSquares(n_components=min(3, most), scale=False)
    return TunedOverDonors(least_squares, {"n_components": (1, 2, 3, 5)})


def _logistic(context: TrainingContext) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        StandardScaler(with_mean=not context.sparse),
        LogisticRegression(C=0.1, max_iter=60, tol=1e-3, class_weight="balanced", random_state=context.seed),
    )


def _sparse_logistic(context: TrainingContext) -> Any:
    from inspect import signature

    from sklearn.linear_model import LogisticRegression

    # penalty="l1" is deprecated from scikit-learn 1.8 on, where l1_ratio alone says so
    deprecated = signature(LogisticRegression).parameters["penalty"].default == "deprecated"
    lasso = {"l1_ratio": 1.0} if deprecated else {"penalty": "l1"}
    return LogisticRegression(C=0.03, solver="liblinear", class_weight="balanced", max_iter=200,
                              random_state=context.seed, **lasso)  # fmt: skip


def _sgd(context: TrainingContext) -> Any:
    from sklearn.linear_model import SGDClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MaxAbsScaler

    return make_pipeline(
        MaxAbsScaler(),
        SGDClassifier(loss="log_loss", alpha=1e-5, max_iter=5, tol=None, class_weight="balanced",
                      n_jobs=context.threads, random_state=context.seed),
    )  # fmt: skip


def _knn(context: TrainingContext) -> Any:
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    from titin.learn.tuning import TunedOverDonors

    make = KNeighborsRegressor if context.task.kind == "regression" else KNeighborsClassifier
    n = min(15 if context.task.level == "cell" else 5, context.n_units)
    return TunedOverDonors(make(n_neighbors=n, n_jobs=context.threads), {"n_neighbors": (30, 15, 8, 5, 3)})


def _boosting(context: TrainingContext) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    # without l2_regularization the trees of rare classes overshoot: their hessians are small. Finding the bins of units
    # that have weights takes scikit-learn longer than the trees do, in proportion to the bins
    common = {"max_leaf_nodes": 8, "l2_regularization": 1.0, "early_stopping": False, "max_bins": 64,
              "random_state": context.seed}  # fmt: skip
    if context.task.kind == "regression":
        return HistGradientBoostingRegressor(max_iter=60, learning_rate=0.08, min_samples_leaf=10, **common)
    n_iter = 15 if context.task.level == "cell" else 60
    return HistGradientBoostingClassifier(max_iter=n_iter, learning_rate=0.2, **common)


def _lightgbm(context: TrainingContext) -> Any:
    lightgbm = require("lightgbm", "the model lightgbm")
    common = {"n_estimators": 100, "num_leaves": 15, "min_child_samples": 10, "learning_rate": 0.1, "verbose": -1,
              "n_jobs": context.threads, "random_state": context.seed, "deterministic": True,
              "force_row_wise": True}  # fmt: skip
    if context.task.kind == "regression":
        return lightgbm.LGBMRegressor(**common)
    return lightgbm.LGBMClassifier(class_weight="balanced", **common)


def _mlp(context: TrainingContext) -> Any:
    check_installed("torch", "the model mlp")
    from titin.learn.mlp import LoaderMLP

    return LoaderMLP(seed=context.seed, threads=context.threads)


_ELASTIC_NET = "Zou and Hastie, J. R. Stat. Soc. B 67, 301-320 (2005)"
MODELS: tuple[Model, ...] = (
    Model("mean", _mean, _REGRESSION, "facts", level="donor", baseline=True, max_units=None),
    Model("median", _median, _REGRESSION, "facts", level="donor", baseline=True, max_units=None),
    Model("sex_only", _sex_only, ("regression", "classification"), "facts", (*_AGE, "young_old"), "donor",
          baseline=True, max_units=None, column="sex"),
    Model("young_old_oracle", _oracle, _REGRESSION, "facts", _AGE, "donor", baseline=True, max_units=None,
          column=YOUNG_OLD),
    Model("majority", _majority, features="facts", baseline=True, max_units=None),
    Model("sex_gene_rule", _sex_rule, features="sex_genes", tasks=("sex",), baseline=True, max_units=None),
    Model("marker_rule", _type_rule, features="type_markers", tasks=("cell_type_*",), baseline=True,
          max_units=2000),
    Model("ridge", _ridge, _REGRESSION, "centred", several=True),
    Model("ridge_by_type", _ridge_by_type, _REGRESSION, "type+centred", several=True,
          reference="Buckley et al., Nature Aging 3, 121-137 (2023)"),
    Model("elastic_net", _elastic_net, _REGRESSION, "centred", level="pseudobulk", reference=_ELASTIC_NET),
    Model("pls", _pls, _REGRESSION, "centred", level="pseudobulk",
          reference="Wold et al., Chemom. Intell. Lab. Syst. 58, 109-130 (2001)"),
    Model("logistic", _logistic),
    Model("sparse_logistic", _sparse_logistic, tasks=("sex", "young_old"), level="pseudobulk",
          reference="Tibshirani, J. R. Stat. Soc. B 58, 267-288 (1996)"),
    Model("sgd", _sgd, features="hvg", default=False, max_units=None),
    Model("knn", _knn, ("classification", "regression"), default=False),
    Model("boosting", _boosting, ("classification", "regression"), features="pca", max_units=15_000,
          reference="Friedman, Ann. Stat. 29, 1189-1232 (2001); histograms as in LightGBM"),
    Model("lightgbm", _lightgbm, ("classification", "regression"), features="pca", default=False, max_units=15_000,
          needs="boosting", reference="Ke et al., NeurIPS 30 (2017)"),
    Model("mlp", _mlp, features="loader", tasks=("cell_type_*", "obs:*"), level="cell", default=False, max_units=None,
          needs="torch"),
)  # fmt: skip
