"""What objects look like in a notebook: what they are in a sentence, and nothing that a page would obey."""

from pathlib import Path

import pandas as pd
import pytest

import titin
from hostile_words import NOT_SEEN, PAYLOADS
from titin import demo
from titin.check import validate
from titin.html import notebook
from titin.results import Result


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("notebook")
    demo.write_demo_atlas(path / "atlas.h5ad", n_cells=300, n_genes=200)
    titin.build(path / "atlas.h5ad", path / "dataset", preset="muscle")
    return path / "dataset"


def test_a_matrix_names_its_genes_and_completes_them(folder: Path) -> None:
    expression = titin.open(folder).expression
    assert "Expression of 300 cells × 200 genes" in expression._repr_html_()
    assert "195 more" in expression._repr_html_()
    assert expression._ipython_key_completions_() == expression.columns.tolist()
    assert expression[expression.columns[:2].tolist()].columns[0] in expression._ipython_key_completions_()


def test_a_loader_says_what_it_hands_out(folder: Path) -> None:
    loader = titin.Loader(folder, batch_size=128, values="counts")
    assert repr(loader) == (
        "Loader of 300 cells × 200 genes: 3 batches of 128, counts, CSR, BlockShuffleSampler"
    )  # fmt: skip
    assert repr(loader) in loader._repr_html_()
    assert "DonorID" in loader._repr_html_()


def test_a_validation_shows_what_was_found(folder: Path) -> None:
    report = validate(folder, level="quick")
    page = report._repr_html_()
    assert f"ValidationReport: {report.verdict}" == repr(report)
    assert report.verdict.split(":")[0][:30] in page
    for result, finding in list(report.findings("warning"))[:3]:
        assert result.check.title in page
        assert finding.message[:20].split("'")[0] in page


def test_a_result_shows_the_head_of_its_table_and_its_settings() -> None:
    table = pd.DataFrame({"gene": [f"G{i}" for i in range(8)], "p_value": [0.123456789] * 8})
    page = Result(table, settings={"method": "voom", "thresholds": {"a": 1}})._repr_html_()
    assert "Result(table: 8 × 2)" in page
    assert "voom" in page
    assert "G4" in page
    assert "G5" not in page
    assert "0.1235" in page
    assert "3 more rows in .table" in page


@pytest.mark.parametrize("text", PAYLOADS)
def test_nothing_in_a_notebook_is_obeyed(text: str) -> None:
    table = pd.DataFrame({text: [text]})
    pages = [Result(table, settings={text: text})._repr_html_(), notebook(text, [(text, [text])], rest=text)]
    for page in pages:
        assert "<script" not in page
        assert "<img" not in page
        assert "<iframe" not in page
        assert not NOT_SEEN.search(page)


def test_a_figure_is_shown(folder: Path) -> None:
    assert titin.open(folder).plot.umap(color="MYH7")._repr_png_().startswith(b"\x89PNG")  # what IPython asks for
