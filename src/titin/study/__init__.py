"""The design of a study: roles, ages, sex and protocol, donors and other units of replication."""

from titin.study.ages import age_cut, donor_ages, parse_age, parse_ages, young_or_old
from titin.study.conditions import Where
from titin.study.design import Study
from titin.study.groups import CellGroups, cell_keys, group_by, group_cells
from titin.study.roles import find_roles
from titin.study.vocabulary import protocol_of, sex_of

__all__ = [
    "CellGroups",
    "Study",
    "Where",
    "age_cut",
    "cell_keys",
    "donor_ages",
    "find_roles",
    "group_by",
    "group_cells",
    "parse_age",
    "parse_ages",
    "protocol_of",
    "sex_of",
    "young_or_old",
]
