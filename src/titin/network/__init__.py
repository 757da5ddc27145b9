"""Regulators of genes: how active they are by type and donor, which genes they go with, and what changes with age."""

from typing import TYPE_CHECKING

from titin.lazy import lazy_names

if TYPE_CHECKING:
    from titin.network.backends import Backend
    from titin.network.cell_activities import write_cell_activities
    from titin.network.networks import Networks, infer_networks
    from titin.network.prior_network import PriorNetwork, read_network
    from titin.network.question import NetworkQuestion
    from titin.network.regulator_activities import Activities, activities
    from titin.network.regulator_tables import write_regulator_tables
    from titin.network.scoring import activity_scores

__all__ = [
    "Activities",
    "Backend",
    "NetworkQuestion",
    "Networks",
    "PriorNetwork",
    "activities",
    "activity_scores",
    "infer_networks",
    "read_network",
    "write_cell_activities",
    "write_regulator_tables",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "titin.network.regulator_activities": ("Activities", "activities"),
        "titin.network.regulator_tables": ("write_regulator_tables",),
        "titin.network.scoring": ("activity_scores",),
        "titin.network.backends": ("Backend",),
        "titin.network.cell_activities": ("write_cell_activities",),
        "titin.network.networks": ("Networks", "infer_networks"),
        "titin.network.prior_network": ("PriorNetwork", "read_network"),
        "titin.network.question": ("NetworkQuestion",),
    },
)
