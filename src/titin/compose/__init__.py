"""Datasets made of datasets: a part of one, or several as one."""

from typing import TYPE_CHECKING

from titin.lazy import lazy_names

if TYPE_CHECKING:
    from titin.compose.part import subset
    from titin.compose.union import merge

__all__ = ["merge", "subset"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "titin.compose.part": ("subset",),
        "titin.compose.union": ("merge",),
    },
)
