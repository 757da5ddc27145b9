"""The section of regulators: what was found in sentences, figures and tables, small enough to be looked at."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted import CHANGED, RISING, edges

import titin
from titin.network import Activities, NetworkQuestion, Networks, PriorNetwork, activities, infer_networks
from titin.network.report_section import show_activities, show_networks, small_networks
from titin.section import Bullets, Figure, Paragraph, Section, Table

KNOWN = PriorNetwork(edges(), "planted")


@pytest.fixture(scope="module")
def active(planted: Path) -> Activities:
    return activities(titin.open(planted / "dataset"), KNOWN)


@pytest.fixture(scope="module")
def inferred(planted: Path) -> Networks:
    question = NetworkQuestion(network=KNOWN, reference=KNOWN, n_edges=40, n_bootstraps=3)
    return infer_networks(titin.open(planted / "dataset"), question)


def of(section: Section, kind: type) -> dict[str, object]:
    return {block.name: block for block in section.blocks if isinstance(block, kind)}


def said(section: Section) -> str:
    return " ".join(block.text for block in section.blocks if isinstance(block, Paragraph))


def test_activities_begin_with_what_changes_and_have_a_figure_of_the_clearest_by_age(active: Activities) -> None:
    section = Section("regulators", "Regulators")
    show_activities(section, active)
    first = section.blocks[0]
    assert isinstance(first, Paragraph)
    assert f"in activity between young and old (adjusted p < 0.05 over 8 tests): {RISING} in B cell rises" in first.text
    figures = of(section, Figure)
    assert list(figures)[:2] == ["clearest", f"by_age_{RISING}"]
    own = figures[f"by_age_{RISING}"].table
    assert (own["feature"] == RISING).all()
    assert len(own) == len(figures[f"by_age_{RISING}"].axes.collections[1].get_offsets()) == 24
    assert list(figures)[-1] == "types"
    assert section.facts["regulators"] == 4
    assert active.caveat in said(section)


def test_donors_of_few_cells_are_not_drawn(active: Activities) -> None:
    few = active.donors["donor"].isin(["D00", "D06"])
    thin = replace(active, donors=active.donors.assign(n_cells=np.where(few, 3, 100)))
    section = Section("regulators", "Regulators")
    show_activities(section, thin)
    assert len(of(section, Figure)[f"by_age_{RISING}"].table) == 20


def test_without_ages_types_are_shown_and_why_there_is_no_test(active: Activities) -> None:
    tested = ["effect", "ci_low", "ci_high", "t", "p_value", "adj_p_value", "adj_p_value_across_types"]
    aged = replace(active, donors=active.donors.drop(columns="age"), not_compared="no donor's age is known",
                   table=active.table.assign(**dict.fromkeys(tested, np.nan)))  # fmt: skip
    section = Section("regulators", "Regulators")
    show_activities(section, aged)
    assert list(of(section, Figure)) == ["types"]
    assert "Not evaluable: no donor's age is known." in said(section)
    assert len(of(section, Table)["activities"].table) == 8


def test_a_row_that_stands_twice_is_drawn_once(active: Activities) -> None:
    twice = replace(active, table=pd.concat([active.table] * 2, ignore_index=True))
    section = Section("regulators", "Regulators")
    show_activities(section, twice)
    assert of(section, Figure)["types"].axes.images[0].get_array().shape == (2, 4)


def test_networks_are_drawn_where_a_regulator_changes(inferred: Networks) -> None:
    section = Section("regulators", "Regulators")
    show_networks(section, inferred)
    figures = of(section, Figure)
    assert list(figures) == ["strengths", "network_T cell", "network_B cell"]
    assert figures["network_T cell"].title.endswith("T cell, n = 12 donors")
    assert set(of(section, Table)) == {"strengths", "edges", "evaluation"}
    assert "1 of 4 regulators changes in strength" in said(section)
    assert section.facts["edges"] == len(inferred.table)


def test_a_small_network_has_the_strongest_edges_of_what_changes_most(inferred: Networks) -> None:
    drawn = small_networks(inferred)
    assert [own["cell_type"].iloc[0] for own in drawn] == ["T cell", "B cell"]
    for own in drawn:
        assert own["cell_type"].nunique() == 1
        assert own.groupby("regulator").size().max() <= 6
        assert own["regulator"].nunique() == 4
        assert CHANGED in set(own["regulator"])
        every = inferred.table[inferred.table["cell_type"] == own["cell_type"].iloc[0]]
        for name, edges_of in own.groupby("regulator"):
            rest = every[(every["regulator"] == name) & ~every["target"].isin(edges_of["target"])]
            assert edges_of["weight"].abs().min() >= rest["weight"].abs().max() or rest.empty
    many = pd.concat([inferred.table.assign(regulator=f"R{i}") for i in range(20)], ignore_index=True)
    largest = small_networks(replace(inferred, table=many))
    assert [own["regulator"].nunique() for own in largest] == [5, 5]


def test_edges_that_few_draws_have_are_not_drawn(inferred: Networks) -> None:
    unsteady = inferred.table["target"].str.endswith("T0")
    table = inferred.table.assign(stability=np.where(unsteady, 0.1, 0.9))
    assert not any(own["target"].str.endswith("T0").any() for own in small_networks(replace(inferred, table=table)))
    none = inferred.table.assign(stability=np.nan)
    assert len(small_networks(replace(inferred, table=none))) == 2


def test_no_network_is_said(inferred: Networks) -> None:
    skipped = [{"cell_type": "T cell", "protocol": "all", "reason": "no donors", "n_cells": 3}]
    empty = replace(inferred, table=inferred.table.head(0), regulators=inferred.regulators.head(0), tests=[],
                    skipped=skipped)  # fmt: skip
    section = Section("regulators", "Regulators")
    show_networks(section, empty)
    assert of(section, Figure) == {}
    assert "Not evaluable: no donors." in said(section)
    assert [block.items for block in section.blocks if isinstance(block, Bullets)] == [["no donors: T cell in all"]]
