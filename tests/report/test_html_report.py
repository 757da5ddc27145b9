import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import titin
from titin.errors import OutputError
from titin.presets import Preset
from titin.report import write_report
from titin.report.atlas_sections import design
from titin.report.render import Files, render, show
from titin.section import Figure, Paragraph, Section

SECTIONS = ["answer", "projections", "composition", "fibres", "expression", "programmes", "senescence", "stem",
            "variance", "regulators", "markers", "design", "labels", "benchmark", "quality", "validation", "files",
            "methods"]  # fmt: skip


class Page(HTMLParser):
    """Tags, addresses and texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.sections, self.pictures, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        about = dict(attrs)
        self.addresses += [about[k] for k in ("href", "src", "poster", "action") if k in about]
        if tag == "section":
            self.sections.append(about["id"])
        if tag == "img":
            self.pictures.append(about)
        if tag not in ("meta", "img", "br", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_is_one_small_file_that_needs_no_other(demo):
    result = demo[0]
    path = Path(result["path"])
    text = path.read_text("utf-8")
    page = Page(text)
    assert page.open == []
    assert page.sections == SECTIONS
    loaded = [a for a in page.addresses if not a.startswith(("#", "data:image/png;base64,"))]
    assert loaded
    assert all(re.fullmatch(r"report_files/[a-z0-9_]+\.csv", a) for a in loaded)
    assert all((path.parent / a).is_file() for a in loaded)
    assert not re.search(r"https?://|@import|url\(", text)
    assert result["bytes"] == path.stat().st_size < 5_000_000
    assert result["missing"] == {}


def test_every_figure_is_described_and_has_its_numbers(demo):
    result = demo[0]
    page = Page(Path(result["path"]).read_text("utf-8"))
    assert len(page.pictures) > 20
    assert all(len(picture["alt"]) > 20 for picture in page.pictures)
    volcano = pd.read_csv(next(Path(result["folder"]).glob("expression_volcano_*.csv")))
    assert {"gene", "log2_fold_change", "adj_p_value"} <= set(volcano)
    assert len(volcano) > 100


def test_numbers_are_those_of_the_analyses(demo):
    from titin.ageing import differential_expression

    result, path = demo
    atlas = titin.open(path)
    table = differential_expression(atlas).table
    folder = Path(result["folder"])
    facts = json.loads((folder / "metrics.json").read_text("utf-8"))["sections"]
    assert facts == result["sections"]
    clear = table[table["adj_p_value"] < 0.05]
    assert facts["expression"]["hits"] == len(clear)
    assert facts["expression"]["genes"] == clear["gene"].nunique() < len(clear)
    assert facts["design"]["donors"] == atlas.obs["DonorID"].nunique()
    fibres = pd.read_csv(folder / "fibres_donors.csv")
    cells = atlas.obs[atlas.obs["annotation_level0"].isin(["MF-I", "MF-II"]) & (atlas.obs["batch"] == "nuclei")]
    labelled = fibres[fibres["protocol"] == "nuclei"]
    assert labelled["n_label_type_1"].sum() >= (cells["annotation_level0"] == "MF-I").sum()
    assert f"{atlas.n_obs:,} cells × {atlas.n_vars:,} genes, 17 donors" in Path(result["path"]).read_text("utf-8")


def test_one_embedding_is_read_and_once(demo, monkeypatch):
    from titin.atlas.views import Embeddings
    from titin.report.atlas_sections import _first_map

    read = []
    plain = Embeddings.__getitem__
    monkeypatch.setattr(Embeddings, "__getitem__", lambda self, key: (read.append(key), plain(self, key))[1])
    atlas = titin.open(demo[1])
    assert len(atlas.obsm) > 1
    key, matrix = _first_map(atlas)
    assert read == [key] == ["X_umap"]
    assert matrix.shape == (atlas.n_obs, 2)


def test_answers_come_first_then_alerts_and_other_commands_are_quoted(demo):
    text = Path(demo[0]["path"]).read_text("utf-8")
    places = [text.index(part) for part in ('class="answers"', "Cell types; p is", 'id="gene-search"',
                                            'class="alerts', 'id="projections"')]  # fmt: skip
    assert places == sorted(places)
    alerts = text[text.index('class="alerts') : text.index('class="contents"')]
    assert "The validation found 0 errors and 1 warnings." in alerts
    assert "A &lt;b&gt;bold&lt;/b&gt; finding." in alerts
    assert "confounded" in alerts
    assert "Age bins cannot be predicted." in text
    benchmark = text[text.index('id="benchmark"') : text.index('id="quality"')]
    assert (
        benchmark.index("11.2") < benchmark.index("18.4") < benchmark.index("no performance") < benchmark.index("2.75")
    )
    assert "bins of one donor" in benchmark


def test_a_report_is_not_written_where_it_would_do_harm(demo):
    written, path = demo
    with pytest.raises(OutputError, match="is there already"):
        write_report(path, written["path"])
    with pytest.raises(OutputError, match="lies in the dataset"):
        write_report(path, path / "report.html")
    with pytest.raises(OutputError, match=r"does not end in \.html"):
        write_report(path, path.parent / "report.pdf")
    (path.parent / "mine_files").mkdir()
    (path.parent / "mine_files" / "precious.txt").write_text("x", "utf-8")
    with pytest.raises(OutputError, match="is not of an earlier report"):
        write_report(path, path.parent / "mine.html", force=True)
    assert (path.parent / "mine_files" / "precious.txt").exists()
    with pytest.raises(OutputError, match="there is no folder"):
        write_report(path, path.parent / "nowhere" / "report.html")


@pytest.mark.parametrize("lacks", ["ages", "donors", "types", "counts", "people"])
def test_what_a_dataset_lacks_is_said_in_one_sentence(tmp_path, lacks):
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"donor": [f"d{i % 6}" for i in range(240)], "age": [20.0 + 10 * (i % 6) for i in range(240)],
                        "cell_type": [("FB", "T-cell")[i % 2] for i in range(240)]},
                       index=[f"c{i}" for i in range(240)])  # fmt: skip
    values = rng.poisson(2.0, (240, 80)).astype(np.float32)
    if lacks == "counts":
        values *= rng.uniform(0.5, 2, values.shape).astype(np.float32)
    elif lacks == "people":
        obs[["donor", "age"]] = "d0", 30.0
    else:
        obs = obs.drop(columns={"ages": "age", "donors": "donor", "types": "cell_type"}[lacks])
    source = ad.AnnData(sparse.csr_matrix(values), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(80)]))
    source.write_h5ad(tmp_path / "source.h5ad")
    titin.build(tmp_path / "source.h5ad", tmp_path / "dataset", tissue="toy", method="x")
    known = pd.DataFrame({"source": "R", "target": [f"g{i}" for i in range(9)], "weight": [1.0] * 6 + [-1.0] * 3})
    known.to_csv(tmp_path / "edges.csv", index=False)
    result = write_report(tmp_path / "dataset", tmp_path / "report.html", network=tmp_path / "edges.csv")
    expected = {
        "ages": ("expression", "this dataset has no ages: the comparison is of ages"),
        "donors": ("expression", "this dataset has no donors: donors are what is compared"),
        "types": ("composition", "this dataset has no cell types"),
        "counts": ("expression", "this dataset has no counts"),
        "people": ("expression", "this dataset has 1 donor: donors are what is compared"),
    }[lacks]
    assert result.missing[expected[0]][0].startswith(expected[1])
    assert {"benchmark", "validation"} <= set(result.missing)
    assert ("regulators" in result.missing) == (lacks in ("donors", "counts"))  # of the network that is given
    text = result.path.read_text("utf-8")
    assert Page(text).sections == [name for name in SECTIONS if name not in ("fibres", "stem")]  # of no preset
    alert = {"ages": "There are no ages", "donors": "There are no donors", "types": "There are no cell types",
             "counts": "There are no counts", "people": "There is one donor"}[lacks]  # fmt: skip
    assert alert in text[: text.index('class="contents"')]
    assert 1 <= len(result.answers) <= 5
    assert any(expected[1] in said for said in result.answers.values())


def test_tables_beside_the_report_are_safe_in_a_spreadsheet(tmp_path):
    files = Files(tmp_path / "x_files")
    address = files.write_table("Some: Table", pd.DataFrame({"name": ["=1+1", "-a", "b"], "n": [-1, 2, 3]}))
    assert address == "x_files/some_table.csv"
    assert (tmp_path / address).read_text("utf-8").splitlines() == ["name,n", "'=1+1,-1", "'-a,2", "b,3"]


def test_text_of_the_data_is_shown_as_it_is(tmp_path):
    section = Section("s", "<Title>")
    section.say("a < b")
    section.table("t", pd.DataFrame({"<x>": ["<script>"]}), "T & U")
    shown = render(section, Files(tmp_path / "f"))
    assert "&lt;Title&gt;" in shown
    assert "<script>" not in shown
    assert "a &lt; b" in shown


def test_numbers_have_few_digits():
    assert [show(v) for v in (0.000012345, 0.51234, 1234.5678, 12, np.nan, None, True, "x", np.int64(45678))] == [
        "1.2e-05", "0.512", "1,235", "12", "", "", "True", "x", "45,678"
    ]  # fmt: skip


def test_cells_without_a_type_are_no_type_of_their_own(tmp_path):
    obs = pd.DataFrame({"donor": [f"d{i % 4}" for i in range(80)], "cell_type": ["A", "B", None, "A"] * 20},
                       index=[f"c{i}" for i in range(80)])  # fmt: skip
    section = Section("design", "Design")
    labels = pd.Series(obs["cell_type"].astype("category"))
    atlas = SimpleNamespace(preset=Preset())
    design(section, SimpleNamespace(atlas=atlas, keys=obs[["donor"]], labels=labels,
                                    donors_by_age=["d0", "d1", "d2", "d3"]))  # fmt: skip
    assert [b.text for b in section.blocks if isinstance(b, Paragraph)] == [
        "In what follows 20 cells take no part: 20 without cell type."
    ]
    table = next(b.table for b in section.blocks if isinstance(b, Figure) and b.name == "cells")
    assert table["cell_type"].tolist() == ["A", "B"]
