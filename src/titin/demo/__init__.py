"""A small muscle atlas with the published design and synthetic expression, to try everything on."""

from titin.demo.atlas import make_demo_atlas, write_demo_atlas
from titin.demo.build import make_demo
from titin.demo.tables import donor_table, write_donor_table

__all__ = ["donor_table", "make_demo", "make_demo_atlas", "write_demo_atlas", "write_donor_table"]
