"""Figures of a validation: one for each map and role there is, each with words."""

import io
from collections.abc import Callable

import pytest
from good_datasets import Good
from PIL import Image

from titin.check.dataset import CheckedDataset
from titin.check.figures import ValidationFigure, make_figures

ROLES = ("age", "cell_type", "sex", "donor", "protocol")


def names_of(context: CheckedDataset) -> list[str]:
    return [figure.name for figure in make_figures(context)]


@pytest.fixture(scope="module")
def made(good: Callable[[str], Good]) -> "list[ValidationFigure]":
    return make_figures(CheckedDataset(good("demo").path))


def test_each_projection_is_drawn_by_each_role_and_as_density(made):
    names = [figure.name for figure in made]
    assert len(set(names)) == len(names)
    assert {f"{key}_{what}" for key in ("scVI", "umap") for what in (*ROLES, "density")} <= set(names)
    assert "cells_by_donor" in names


def test_each_figure_is_a_transparent_picture_with_words(made):
    for figure in made:
        image = Image.open(io.BytesIO(figure.png)).convert("RGBA")
        assert image.width > 500
        assert image.getpixel((0, 0))[3] == 0
        assert len(image.getcolors(10**6)) > 20
        assert figure.title
        assert "1,500 cells" in figure.alt or "470BR" in figure.alt
        assert len(figure.png) < 300_000


def test_the_words_have_the_numbers(made, good):
    by_name = {figure.name: figure for figure in made}
    sexes = CheckedDataset(good("demo").path).obs["Sex"].value_counts()
    assert f"M {sexes['M']:,}, F {sexes['F']:,}" in by_name["umap_sex"].alt
    assert by_name["umap_age"].alt.endswith("coloured by age (years): from 19 to 74.")


@pytest.mark.parametrize("role", ROLES)
def test_a_role_that_is_missing_has_no_figure(good, role, monkeypatch):
    context = CheckedDataset(good("log1p").path)
    context.manifest.obsm = {"X_umap": context.manifest.obsm["X_umap"]}
    context.manifest.roles[role] = [] if role == "cell_type" else None
    names = names_of(context)
    assert {f"umap_{r}" for r in ROLES if r != role} | {"umap_density"} <= set(names)
    assert f"umap_{role}" not in names
    assert ("cells_by_donor" in names) == (role not in ("donor", "cell_type"))


def test_without_projections_there_are_the_bars(good):
    context = CheckedDataset(good("log1p").path)
    context.manifest.obsm = {}
    assert names_of(context) == ["cells_by_donor"]
