"""What an atlas, or a part of one, looks like in a terminal and in a notebook."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pandas as pd

from titin.dataset.store import Store
from titin.errors import DatasetError

_WHAT = ("cell", "gene")
Parts = Sequence[tuple[str, Sequence[str]]]


class Shown(Protocol):
    """What is looked at."""

    store: Store

    @property
    def shape(self) -> tuple[int, int]:
        """Cells, genes."""

    @property
    def ages(self) -> pd.Series:
        """Years, of each cell."""

    @property
    def synthetic(self) -> str | None:
        """What the source says of data that are made up."""

    @property
    def obsm(self) -> Mapping[str, Any]:
        """Embeddings."""

    @property
    def layers(self) -> Mapping[str, Any]:
        """Matrices beside X."""


def summarise(atlas: Shown, what: str) -> tuple[str, Parts]:
    """A sentence that begins with ``what``, and the names in each part."""
    manifest = atlas.store.manifest
    size = " × ".join(f"{n:,} {noun}{'' if n == 1 else 's'}" for n, noun in zip(atlas.shape, _WHAT, strict=True))
    title = f"{what} {size}, {manifest.kind}{_say_ages(atlas)}, in {atlas.store.name}{_say_synthetic(atlas)}"
    return title, [
        ("obs", [*(str(record["name"]) for record in manifest.obs["columns"][1:]), *manifest.derived]),
        ("var", [str(record["name"]) for record in manifest.var["columns"][1:]]),
        ("obsm", list(atlas.obsm)),
        *((group, keys) for group in ("varm", "obsp", "varp") if (keys := list(getattr(atlas, group)))),
        ("layers", list(atlas.layers)),
        ("modalities", list(manifest.modalities)),
    ]


def as_text(title: str, parts: Parts) -> str:
    """Lines for a terminal."""
    return "\n".join([title, *(f"    {part}: {', '.join(map(repr, names))}" for part, names in parts if names)])


def some(names: pd.Index, n: int = 5) -> list[str]:
    """The first names, and how many more there are."""
    more = len(names) - n
    return [*map(str, names[:n]), *([f"{more:,} more"] if more > 0 else [])]


def as_html(title: str, parts: Parts) -> str:
    """A table for a notebook."""
    from titin.html import notebook

    return notebook(title, parts)


def _say_ages(atlas: Shown) -> str:
    if atlas.store.remote:  # a look at what one has in hand fetches nothing
        return ""
    try:
        ages = atlas.ages.dropna()
    except DatasetError:  # whoever asks for them is told; what one has in hand is shown all the same
        return ""
    return f", ages {ages.min():g} to {ages.max():g} years" if len(ages) else ""


def _say_synthetic(atlas: Shown) -> str:
    return "" if atlas.store.remote or atlas.synthetic is None else "; synthetic"
