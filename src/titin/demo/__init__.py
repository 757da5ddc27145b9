"""A small muscle atlas with the published design and synthetic expression, to try everything on."""

from typing import TYPE_CHECKING

from titin.lazy import lazy_names

if TYPE_CHECKING:
    from titin.demo.atlas import make_demo, make_demo_atlas, write_demo_atlas
    from titin.demo.design import donor_table, write_donor_table

__all__ = ["donor_table", "make_demo", "make_demo_atlas", "write_demo_atlas", "write_donor_table"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "titin.demo.atlas": ("make_demo", "make_demo_atlas", "write_demo_atlas"),
        "titin.demo.design": ("donor_table", "write_donor_table"),
    },
)
