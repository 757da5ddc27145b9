"""Every result of the ageing room says how it was made, and is the same when read back."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from ageing_data import draw_pseudobulk
from small_atlases import build, cells, counts_of

import titin
from same_results import assert_equal
from titin import ageing
from titin.ageing import differential_expression
from titin.ageing.analysis import main_result
from titin.demo import make_demo
from titin.errors import TitinError
from titin.features import score_gene_sets, write_gene_set_scores
from titin.progress import Progress
from titin.results import Result
from titin.section import Paragraph, Section

DOCS = Path(__file__).parents[2] / "docs"
MAKERS = {
    "differential expression": lambda atlas: ageing.differential_expression(atlas),
    "joint model": lambda atlas: ageing.joint_model(atlas),
    "cell counts": lambda atlas: ageing.cell_counts(atlas),
    **{f"composition, {method}": lambda atlas, method=method: ageing.composition(
        atlas, method=method, min_sample_cells=20)
       for method in ("asin", "poisson", "mann_whitney")},
    "enrichment": lambda atlas: ageing.ranked_enrichment(differential_expression(atlas)),
    "overlap": lambda atlas: ageing.over_representation(differential_expression(atlas), alpha=0.2),
    "fibres": lambda atlas: ageing.fibres(atlas),
    "gene statistics": lambda atlas: ageing.gene_statistics(atlas, ["annotation_level0", "sex"]),
    "programmes": lambda atlas: ageing.programmes(atlas),
    "scores": score_gene_sets,
    "senescence": lambda atlas: ageing.senescence(atlas),
    "stem cells": lambda atlas: ageing.stem_cells(atlas, n_bootstraps=20),
    "variance": lambda atlas: ageing.variance_partition(atlas),
}  # fmt: skip


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    """The demo, small."""
    folder = tmp_path_factory.mktemp("results")
    return titin.open(make_demo(folder, n_cells=4000, n_genes=400, seed=2, force=False, progress=Progress()).path)


@pytest.mark.parametrize("name", MAKERS)
def test_a_result_is_read_back_in_every_field(atlas, tmp_path, name):
    found = MAKERS[name](atlas)
    assert len(found.table) > 0
    for table in found.tables().values():
        assert table.attrs == {}
    asked = {"young_old": "young_old"}.get(found.settings.get("contrast"), "age (a decade)")
    assert set(found.table.get("contrast", [])) == ({asked} if "contrast" in found.settings else set())
    for ending in ("parquet", "csv"):
        path = found.write(tmp_path / f"found.{ending}", force=True)[0]
        assert_equal(found, type(found).read(path))
        assert_equal(found, Result.read(path))


def test_a_bare_table_is_refused_with_what_to_give():
    table = differential_expression(draw_pseudobulk(1, protocols=("cells", "nuclei"), n_genes=60)).table
    with pytest.raises(TitinError, match="a table alone does not say") as refused:
        write_gene_set_scores("dataset", table)
    assert refused.value.hint.startswith("give what ")


def test_an_analysis_says_what_it_needs_and_is_complete(atlas):
    """Each record gives a command, a section with something in it, and the kind of result that it names."""
    inputs = ageing.Inputs(atlas)
    names = [analysis.name for analysis in ageing.ANALYSES]
    assert len({*names}) == len({analysis.anchor for analysis in ageing.ANALYSES}) == len(names) >= 7
    for analysis in ageing.ANALYSES:
        assert analysis.offered(atlas.preset)
        section = Section(analysis.anchor, analysis.title)
        findings = analysis.fill(section, inputs)
        assert len(section.blocks) >= 2, analysis.name
        assert main_result(findings, Result).settings, analysis.name
        assert section.blocks[0] == Paragraph(f"{analysis.verdict(findings)}."), analysis.name
        assert set(findings.results) | set(findings.missing) <= set(analysis.parts)
        assert isinstance(next(iter(findings.results.values())), analysis.result)
        assert all(option.name and option.help for option in analysis.options)


@pytest.fixture(scope="module")
def poor(tmp_path_factory):
    """Datasets of people with fibres and stem cells, each of which lacks one thing, made when first asked for."""
    made = {}

    def lacking(need):
        if need not in made:
            rng = np.random.default_rng(0)
            obs = cells(rng, per_donor=40)
            values = counts_of(obs, rng)
            obs["cell_type"] = obs["cell_type"].replace("FB", "MuSC")
            if need == "counts":
                values *= rng.uniform(0.5, 2, values.shape).astype(np.float32)
            made[need] = build(tmp_path_factory.mktemp(need), obs.drop(columns=need, errors="ignore"), values)
        return made[need]

    return lacking


LACKING = [(analysis.name, need) for analysis in ageing.ANALYSES for need in analysis.needs]


@pytest.mark.parametrize(("name", "need"), LACKING)
def test_what_an_analysis_needs_it_cannot_do_without(poor, name, need):
    analysis = next(one for one in ageing.ANALYSES if one.name == name)
    missing = {"donor": "donors", "age": "ages", "cell_type": "cell types", "counts": "counts"}[need]
    with pytest.raises(TitinError, match=f"(this dataset has|there are) no {missing}"):
        analysis.fill(Section(analysis.anchor, analysis.title), ageing.Inputs(poor(need)))


def test_adjusted_p_values_are_those_of_scipy_and_unknown_ones_stay_out():
    from scipy.stats import false_discovery_control

    from titin.ageing.linear_models import adjust

    p = np.random.default_rng(0).random(50)
    p[[3, 7]] = np.nan
    known = np.isfinite(p)
    np.testing.assert_array_equal(adjust(p)[known], false_discovery_control(p[known]))
    assert np.isnan(adjust(p)[~known]).all()
    assert np.isnan(adjust(np.array([np.nan]))).all()


def test_the_page_has_the_analyses_as_their_records_do():
    page = runpy.run_path(str(DOCS / "make_analysis_table.py"))["page"]()
    assert (DOCS / "ageing.md").read_text("utf-8") == page, "run python docs/make_analysis_table.py"
    assert all(f"`titin age {analysis.name}`" in page for analysis in ageing.ANALYSES)
