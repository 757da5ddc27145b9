"""How much of a contrast's precision is lost to the other terms of a design: the variance inflation factor (VIF)."""

from collections.abc import Sequence

import numpy as np

from titin.ageing.kernels import Floats

HIGH_VIF = 4.0  # the standard error is twice, and the donors are worth a quarter, of what they would be without overlap


def variance_inflation(matrix: Floats, contrasts: Floats, beside: Sequence[int] = ()) -> float:
    """Variance of a contrast in a design, over that in a design of its own columns and the intercept.

    Of one column it is the usual VIF, 1 / (1 - R²) of that column on the others. Of a term of several columns it is the
    generalised one, to the power of one over their number, so that it compares with that of one column.

    Parameters
    ----------
    matrix
        Units × columns, of full rank.
    contrasts
        Columns × number.
    beside
        Columns that belong to the contrast, as those of age and of sex belong to their interaction.

    Returns
    -------
    float
        From 1 on.

    Notes
    -----
    Fox & Monette, J. Am. Stat. Assoc. 87, 178 (1992).
    """
    own = [i for i in range(matrix.shape[1]) if contrasts[i].any() or i in set(beside)]
    bare, weights = matrix[:, own], contrasts[own]
    ones = np.ones((len(matrix), 1))
    if _spans(matrix, ones) and not _spans(bare, ones):
        bare, weights = np.hstack([bare, ones]), np.vstack([weights, np.zeros((1, weights.shape[1]))])
    ratio = np.linalg.det(_covariance(matrix, contrasts)) / np.linalg.det(_covariance(bare, weights))
    return float(max(ratio ** (1 / contrasts.shape[1]), 1.0))


def overlapping_terms(matrix: Floats, contrasts: Floats, term_of: Sequence[str]) -> tuple[float, list[str]]:
    """VIF of a contrast, and the terms it overlaps with where that is `HIGH_VIF` or more.

    The terms are those that bring the VIF down most when they are left out, one after the other, until it is lower.

    Parameters
    ----------
    matrix, contrasts
        As for `variance_inflation`.
    term_of
        Term of each column.
    """
    tested = {term for term, weights in zip(term_of, contrasts, strict=True) if weights.any()}
    parts = {part for term in tested for part in term.split(":")} if any(":" in term for term in tested) else set()
    beside = [i for i, term in enumerate(term_of) if term in parts]
    vif = now = variance_inflation(matrix, contrasts, beside)
    others = [term for term in dict.fromkeys(term_of) if term not in tested | parts and term != "Intercept"]
    guilty: list[str] = []
    while now >= HIGH_VIF and others:
        left = {term: _without(matrix, contrasts, term_of, parts, [*guilty, term]) for term in others}
        best = min(others, key=left.__getitem__)
        now = left[best]
        guilty.append(best)
        others.remove(best)
    return vif, guilty


def say_overlap(contrast: str, terms: Sequence[str], vif: float) -> str:
    """Say it in words.

    Examples
    --------
    >>> say_overlap("age", ["sex"], 4.13)
    'age and sex overlap: VIF 4.1'
    """
    return f"{contrast} and {' and '.join(terms)} overlap: VIF {vif:.1f}"


def _without(
    matrix: Floats, contrasts: Floats, term_of: Sequence[str], parts: set[str], out: Sequence[str]
) -> float:  # fmt: skip
    kept = [i for i, term in enumerate(term_of) if term not in out]
    beside = [at for at, i in enumerate(kept) if term_of[i] in parts]
    return variance_inflation(matrix[:, kept], contrasts[kept], beside)


def _covariance(matrix: Floats, contrasts: Floats) -> Floats:
    """Covariance of the contrasts' estimates for a residual variance of 1."""
    half = np.linalg.solve(np.linalg.qr(matrix)[1].T, contrasts)
    product: Floats = half.T @ half
    return product


def _spans(matrix: Floats, column: Floats) -> bool:
    rest = column - matrix @ np.linalg.lstsq(matrix, column, rcond=None)[0]
    return bool(np.abs(rest).max() < 1e-9)
