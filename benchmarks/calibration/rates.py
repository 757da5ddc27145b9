"""How often something was found, with its exact 95 % interval (Clopper and Pearson)."""

from scipy import stats


def say_rate(n_found: int, n: int) -> str:
    """Percent of trials, and the interval.

    Examples
    --------
    >>> say_rate(10, 100), say_rate(0, 0)
    ('10.0 % (4.9 to 17.6)', '')
    """
    if not n:
        return ""
    low, high = stats.binomtest(n_found, n).proportion_ci(method="exact")
    return f"{100 * n_found / n:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
