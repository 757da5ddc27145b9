"""A small muscle atlas with the published design and synthetic expression, to try everything on."""

from titin.demo.atlas import make_demo, make_demo_atlas, next_steps, write_demo_atlas
from titin.demo.design import donor_table, write_donor_table

__all__ = ["donor_table", "make_demo", "make_demo_atlas", "next_steps", "write_demo_atlas", "write_donor_table"]
