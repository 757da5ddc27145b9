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
from titin.learn.features import Centred, ClassGenes, Components, FeatureMaker, Genes, WithType, expressed_genes
from titin.learn.given_features import Facts, Projection, Quality
from titin.learn.set_features import MarkerRatios, SetMeans, SetScores, TopTokens
from titin.learn.tasks import Kind, Level, Task

SEX_SETS = ("sex_female", "sex_male")


@dataclass(frozen=True)
class Context:
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
        From a `Context` makes an unfitted estimator; or from nothing, as a class does.
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

    def estimator(self, context: Context) -> Any:
        """Make an unfitted estimator."""
        takes = [p for p in inspect.signature(self.make).parameters.values() if p.default is p.empty]
        takes = [p for p in takes if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        return self.make(context) if takes else self.make()


FEATURES: dict[str, Callable[[], FeatureMaker]] = {
    "hvg": Genes,
    "pca": Components,
    "expressed": lambda: Genes(expressed_genes, 4000),
    "centred": lambda: Centred(leave_out=SEX_SETS),
    "centred_all": Centred,
    "centred_pca": lambda: Components(Centred(leave_out=SEX_SETS)),
    "gene_sets": SetScores,
    "markers": MarkerRatios,
    "quality": Quality,
    "tokens": TopTokens,
    "sex_genes": lambda: SetMeans(SEX_SETS),
    "type_markers": lambda: SetMeans(("markers_*",)),
    "facts": Facts,
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
        return Projection(name)
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
    from titin.learn.bundled import MODELS

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
        made = Model(text, found).estimator(Context(Task(text, "", "regression", "cell", ""), [], 0))
    except Exception as error:
        raise TitinError(
            f"{text} makes no estimator: {error}", "it must be callable, with a Context or nothing"
        ) from error
    kinds: tuple[Kind, ...] = ()
    kinds += ("regression",) if is_regressor(made) else ()
    kinds += ("classification",) if is_classifier(made) else ()
    return Model(text, found, kinds=kinds or ("regression", "classification"))
