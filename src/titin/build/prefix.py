"""Tissue and method, which begin every file name."""

import re
from typing import Any

import pandas as pd

from titin.build.options import Options
from titin.errors import TitinError
from titin.source import Source


def choose_prefix(source: Source, roles: dict[str, Any], options: Options) -> tuple[str, str, str]:
    """Tissue, method and ``{tissue}_{method}``: as given, else from obs, else from the file's name.

    Raises
    ------
    TitinError
        If a given tissue or method has no letter or digit to make a file name of.
    """
    tissue = _slug(options.tissue) if options.tissue else _only(source.obs, "tissue") or _slug(source.path.stem)
    method = _slug(options.method) if options.method else _method(source.obs, roles)
    for option, given, made in (("--tissue", options.tissue, tissue), ("--method", options.method, method)):
        if given and not made:
            raise TitinError(f"{option} {given!r} cannot begin a file name", "use letters and digits")
    return tissue or "atlas", method, f"{tissue or 'atlas'}_{method}"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:60]


def _only(obs: pd.DataFrame, column: str) -> str | None:
    if column not in obs.columns or obs[column].nunique() != 1:
        return None
    return _slug(str(obs[column].dropna().iloc[0]).lower())


def _method(obs: pd.DataFrame, roles: dict[str, Any]) -> str:
    """``10x`` where the chemistry says so, else ``scrna``."""
    column = roles["chemistry"]
    if column is None:
        return "scrna"
    values = [str(v).lower() for v in obs[column].dropna().unique()]
    tenx = "10x" in str(column).lower() or all("10x" in v for v in values)
    return "10x" if values and tenx else "scrna"
