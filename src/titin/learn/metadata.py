"""Donors and their weights on the way to estimators, by scikit-learn's routing of metadata.

What has ``groups`` in its ``fit``, or in the ``split`` of its inner folds, is told the donor of each unit; what has
``sample_weight``, weights by which donors count alike. That holds inside of pipelines, grid searches and transformed
targets as for an estimator alone, and a part that was told otherwise (``set_fit_request(sample_weight=False)``) is left
as it is.
"""

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

METADATA = ("groups", "sample_weight")
_METHODS = ("fit", "score")


def fit_with_donors(estimator: Any, X: Any, y: Any, donors: NDArray[np.object_]) -> Any:
    """Fit an estimator, telling each part of it the donors, or their weights, where it asks for them.

    Parameters
    ----------
    estimator
        Anything with ``fit``.
    X, y
        Units × features, and what is to be predicted of each.
    donors
        The donor of each unit.

    References
    ----------
    https://scikit-learn.org/stable/metadata_routing.html
    """
    from sklearn import config_context

    from titin.learn.features import donor_weights

    with config_context(enable_metadata_routing=True):
        taken = request_metadata(estimator)
        given = {"groups": donors, "sample_weight": donor_weights(donors) if "sample_weight" in taken else None}
        return estimator.fit(X, y, **{name: given[name] for name in sorted(taken)})


def request_metadata(estimator: Any) -> set[str]:
    """Request for each part what it can take and has not refused; which of `METADATA` the whole then takes.

    Only where scikit-learn's routing of metadata is enabled.
    """
    try:
        for part in _parts(estimator):
            _request_of(part)
        router = estimator.get_metadata_routing()
        found = set(router.consumes("fit", METADATA))
    except (AttributeError, NotImplementedError):  # no estimator of scikit-learn's, or one that routes nothing
        found = set()
    return found | set(METADATA) & set(inspect.signature(estimator.fit).parameters)


def tunes_across_donors(estimator: Any) -> bool:
    """Whether a part chooses its parameters on inner folds that know nothing of donors."""
    inner = [part.cv for part in _parts(estimator) if hasattr(part, "cv") and hasattr(part, "fit")]
    return any(not isinstance(cv, str) and not _splits_by_groups(cv) for cv in inner)  # "prefit" is no folds


def _splits_by_groups(cv: Any) -> bool:
    """Whether a splitter divides units by the groups that it is told."""
    asks = getattr(cv, "get_metadata_routing", None)
    return asks is not None and "groups" in asks().consumes("split", ["groups"])


def _parts(estimator: Any) -> Iterator[Any]:
    """An estimator and those inside of it."""
    yield estimator
    if hasattr(estimator, "get_params"):
        for value in estimator.get_params(deep=True).values():
            if hasattr(value, "get_metadata_routing") and hasattr(value, "fit"):
                yield value


def _request_of(part: Any) -> None:
    """Request what a part has not said whether it wants it; and the same of its scorers, which stand as names."""
    from sklearn.metrics import get_scorer, get_scorer_names

    requests = part._get_metadata_request() if hasattr(part, "_get_metadata_request") else None
    for method in _METHODS:
        setter = getattr(part, f"set_{method}_request", None)
        if setter is None or requests is None:
            continue
        unset = {name for name, asked in getattr(requests, method).requests.items() if asked is None}
        if unset & set(METADATA):
            setter(**dict.fromkeys(sorted(unset & set(METADATA)), True))
    if getattr(part, "scoring", None) in get_scorer_names():  # boosting has other words there
        part.set_params(scoring=get_scorer(part.scoring).set_score_request(sample_weight=True))
