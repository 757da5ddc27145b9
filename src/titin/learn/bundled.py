"""The models that titin comes with."""

from typing import Any

from titin.errors import TitinError
from titin.learn.models import Context, Model
from titin.learn.tasks import Kind

_REGRESSION: tuple[Kind, ...] = ("regression",)
_AGE = ("age_*",)


def _mean(context: Context) -> Any:  # noqa: ARG001
    from titin.learn.estimators import GroupMean

    return GroupMean()


def _median(context: Context) -> Any:  # noqa: ARG001
    from titin.learn.estimators import GroupMean

    return GroupMean(statistic="median")


def _sex_only(context: Context) -> Any:
    from titin.learn.estimators import GroupMajority, GroupMean

    return GroupMean("sex") if context.task.kind == "regression" else GroupMajority("sex")


def _oracle(context: Context) -> Any:  # noqa: ARG001
    from titin.learn.estimators import GroupMean

    return GroupMean("young_old")


def _majority(context: Context) -> Any:
    from titin.learn.estimators import GroupMajority

    return GroupMajority(by_donor=context.task.of_donor)


def _sex_rule(context: Context) -> Any:  # noqa: ARG001
    from titin.learn.estimators import MarkerRule

    return MarkerRule(("female", "male"))


def _type_rule(context: Context) -> Any:
    from titin.learn.estimators import MarkerRule

    return MarkerRule(tuple(name.removeprefix("markers_") for name in context.names))


def _ridge(context: Context) -> Any:  # noqa: ARG001
    from titin.learn.estimators import DonorRidge

    return DonorRidge()


def _ridge_by_type(context: Context) -> Any:  # noqa: ARG001
    from titin.learn.estimators import DonorRidge, PerTypeRegressor

    return PerTypeRegressor(DonorRidge())


def _elastic_net(context: Context) -> Any:  # noqa: ARG001
    from sklearn.linear_model import ElasticNet

    return ElasticNet(alpha=1.0, l1_ratio=0.5, tol=1e-3, max_iter=2000)


def _pls(context: Context) -> Any:
    from sklearn.cross_decomposition import PLSRegression

    return PLSRegression(n_components=max(1, min(3, context.n_units - 1)), scale=False)


def _logistic(context: Context) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        StandardScaler(with_mean=not context.sparse),
        LogisticRegression(C=0.1, max_iter=60, tol=1e-3, class_weight="balanced", random_state=context.seed),
    )


def _sparse_logistic(context: Context) -> Any:
    from inspect import signature

    from sklearn.linear_model import LogisticRegression

    # penalty="l1" is deprecated from scikit-learn 1.8 on, where l1_ratio alone says so
    deprecated = signature(LogisticRegression).parameters["penalty"].default == "deprecated"
    lasso = {"l1_ratio": 1.0} if deprecated else {"penalty": "l1"}
    return LogisticRegression(C=0.03, solver="liblinear", class_weight="balanced", max_iter=200,
                              random_state=context.seed, **lasso)  # fmt: skip


def _sgd(context: Context) -> Any:
    from sklearn.linear_model import SGDClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MaxAbsScaler

    return make_pipeline(
        MaxAbsScaler(),
        SGDClassifier(loss="log_loss", alpha=1e-5, max_iter=5, tol=None, class_weight="balanced",
                      n_jobs=context.threads, random_state=context.seed),
    )  # fmt: skip


def _knn(context: Context) -> Any:
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    n = min(15 if context.task.level == "cell" else 5, context.n_units)
    if context.task.kind == "regression":
        return KNeighborsRegressor(n_neighbors=n, n_jobs=context.threads)
    return KNeighborsClassifier(n_neighbors=n, n_jobs=context.threads)


def _boosting(context: Context) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    # without l2_regularization the trees of rare classes overshoot: their hessians are small. Finding the bins of units
    # that have weights takes scikit-learn longer than the trees do, in proportion to the bins
    common = {"max_leaf_nodes": 8, "l2_regularization": 1.0, "early_stopping": False, "max_bins": 64,
              "random_state": context.seed}  # fmt: skip
    if context.task.kind == "regression":
        return HistGradientBoostingRegressor(max_iter=60, learning_rate=0.08, min_samples_leaf=10, **common)
    n_iter = 15 if context.task.level == "cell" else 60
    return HistGradientBoostingClassifier(max_iter=n_iter, learning_rate=0.2, **common)


def _lightgbm(context: Context) -> Any:
    try:
        import lightgbm
    except ImportError as error:
        raise TitinError("the model lightgbm needs LightGBM", "pip install titin[boosting]") from error
    common = {"n_estimators": 100, "num_leaves": 15, "min_child_samples": 10, "learning_rate": 0.1, "verbose": -1,
              "n_jobs": context.threads, "random_state": context.seed, "deterministic": True,
              "force_row_wise": True}  # fmt: skip
    if context.task.kind == "regression":
        return lightgbm.LGBMRegressor(**common)
    return lightgbm.LGBMClassifier(class_weight="balanced", **common)


def _mlp(context: Context) -> Any:
    try:
        from titin.learn.mlp import LoaderMLP
    except ImportError as error:
        raise TitinError("the model mlp needs PyTorch", "pip install titin[torch]") from error
    return LoaderMLP(seed=context.seed, threads=context.threads)


_ELASTIC_NET = "Zou and Hastie, J. R. Stat. Soc. B 67, 301-320 (2005)"
MODELS: tuple[Model, ...] = (
    Model("mean", _mean, _REGRESSION, "facts", level="donor", baseline=True, max_units=None),
    Model("median", _median, _REGRESSION, "facts", level="donor", baseline=True, max_units=None),
    Model("sex_only", _sex_only, ("regression", "classification"), "facts", (*_AGE, "young_old"), "donor",
          baseline=True, max_units=None),
    Model("young_old_oracle", _oracle, _REGRESSION, "facts", _AGE, "donor", baseline=True, max_units=None),
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
