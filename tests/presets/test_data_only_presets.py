"""Presets that are data and nothing else: two atlases from the file to validation, benchmark and report."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy import sparse

import titin
from titin.check import validate
from titin.cli import cli
from titin.dataset.manifest import Manifest
from titin.errors import TitinError
from titin.features import gene_sets, programme_sets
from titin.learn import run_benchmark
from titin.presets import read_preset
from titin.publish import write_card
from titin.report import ReportResult, write_report

LIVER = "human_liver_cellxgene_146x33452.h5ad"
SLOW_SECTIONS = ("composition", "senescence", "programmes", "variance", "expression")
ONTOLOGY = ("assay", "cell_type", "development_stage", "disease", "sex", "tissue")
TYPES = {"hepatocyte": ("ALB", "APOA1", "TF", "CYP2E1"), "Kupffer cell": ("CD5L", "MARCO", "VSIG4", "CD163")}


@pytest.fixture(scope="module")
def follower(tmp_path_factory) -> Path:
    """A small atlas that follows the CELLxGENE schema: two types, eight donors with ages, ids of ontologies."""
    rng = np.random.default_rng(0)
    n, donors = 320, 8
    donor = np.arange(n) % donors
    kind = np.array(list(TYPES))[(np.arange(n) // donors) % 2]
    symbols = [*dict.fromkeys(g for genes in TYPES.values() for g in genes), "XIST", "RPS4Y1", "CDKN1A"]
    symbols += [f"GENE{i}" for i in range(60)]
    counts = rng.poisson(1.0, (n, len(symbols)))
    for name, genes in TYPES.items():
        counts[np.ix_(kind == name, [symbols.index(g) for g in genes])] += 12
    female = donor % 2 == 0
    counts[:, symbols.index("XIST")] = np.where(female, rng.poisson(4, n), 0)
    counts[:, symbols.index("RPS4Y1")] = np.where(female, 0, rng.poisson(4, n))
    obs = pd.DataFrame({
        "donor_id": [f"D{d}" for d in donor], "cell_type": kind,
        "development_stage": [f"{25 + 7 * d}-year-old stage" for d in donor],
        "sex": np.where(female, "female", "male"), "suspension_type": "cell", "assay": "10x 3' v3",
        "disease": "normal", "tissue": "liver", "sample": [f"S{d}" for d in donor],
    }, index=[f"cell{i}" for i in range(n)])  # fmt: skip
    for column in ONTOLOGY:
        obs[f"{column}_ontology_term_id"] = pd.factorize(obs[column])[0].astype(str)
    var = pd.DataFrame({"feature_name": symbols}, index=[f"ENSG{i:011d}" for i in range(len(symbols))])
    path = tmp_path_factory.mktemp("follower") / "follower.h5ad"
    ad.AnnData(sparse.csr_matrix(counts.astype(np.float32)), obs.astype("category"), var).write_h5ad(path)
    return path


def _all_the_way(source: Path, preset: str, folder: Path) -> tuple[Path, ReportResult]:
    """Build, validate, benchmark and report with a preset; the dataset and its report."""
    dataset = titin.build(source, folder / preset, preset=preset, project=(), threads=1).path
    assert validate(dataset).passed
    done = run_benchmark(dataset, tasks=["cell_type"], models=["logistic@markers"], splits=["leave_one_donor_out"],
                         permutations=0, figures=False)  # fmt: skip
    assert {"logistic@markers", "marker_rule"} <= set(done.scores["model"])
    return dataset, write_report(dataset)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["liver", "cellxgene"])
def test_a_file_that_follows_the_schema_goes_all_the_way(follower, tmp_path, preset):
    dataset, report = _all_the_way(follower, preset, tmp_path)
    atlas, source = titin.open(dataset), ad.read_h5ad(follower)
    assert atlas.preset == read_preset(preset)
    assert [atlas.roles[role] for role in ("donor", "age", "sex", "protocol", "chemistry")] == [
        "donor_id", "development_stage", "sex", "suspension_type", "assay",
    ]  # fmt: skip
    assert atlas.roles["cell_type"] == ["cell_type"]
    assert sorted(atlas.obs["age_numeric"].unique()) == [25 + 7 * d for d in range(8)]
    kept = atlas.obs.loc[source.obs_names]
    for column in ONTOLOGY:
        pd.testing.assert_series_equal(
            kept[f"{column}_ontology_term_id"], source.obs[f"{column}_ontology_term_id"], check_names=False
        )
    assert not set(report.missing) & {"composition", "design"}
    assert not {"fibres", "stem"} & set(report.facts)  # offered where the preset has them
    assert f"Preset {preset} (sha256 {read_preset(preset).digest[:12]}" in report.path.read_text("utf-8")
    card = (dataset / "README.md").read_text("utf-8")
    if preset == "liver":
        assert set(pd.read_csv(report.folder / "markers_markers.csv")["gene"]) == {"ALB", "CD5L"}
        assert "zonation" in card
    else:  # of no tissue, so that it has no markers
        assert "markers" in report.missing
        assert "| CELLxGENE |" in card


def test_the_markers_of_a_preset_are_those_of_the_panel_the_check_and_the_models(follower, tmp_path):
    built = {preset: titin.build(follower, tmp_path / (preset or "none"), preset=preset, project=(), threads=1).manifest
             for preset in ("liver", None)}  # fmt: skip
    reasons = {preset: {g for g, why in m.panel["genes"].items() if why == "marker"} for preset, m in built.items()}
    assert reasons["liver"] == {g for genes in TYPES.values() for g in genes}
    assert reasons[None] < reasons["liver"]  # of the shared markers: those of macrophages
    markers = validate(tmp_path / "liver", checks=["biology.markers"])["biology.markers"].outcome.facts["types"]
    assert {row["type"]: row["auroc"] > 0.9 for row in markers} == dict.fromkeys(TYPES, True)
    bench = run_benchmark(tmp_path / "liver", tasks=["cell_type"], models=["marker_rule"], figures=False,
                          splits=["leave_one_donor_out"], permutations=0)  # fmt: skip
    score = bench.scores.query("model == 'marker_rule' and metric == 'macro_f1'")["value"]
    assert score.min() > 0.9


def test_the_liver_atlas_of_cellxgene(shared, tmp_path):
    dataset, report = _all_the_way(shared / "data" / "h5ad" / LIVER, "liver", tmp_path)
    atlas = titin.open(dataset)
    assert atlas.manifest.prefix == "liver_10x"
    assert atlas.roles["donor"] == "donor_id"
    assert atlas.roles["age"] is None  # its stages are adult and mature
    assert "'development_stage' holds no age that can be read: ages are not known" in atlas.manifest.notes
    assert not {name for name in gene_sets(atlas.preset) if name in ("markers_MuSC", "fibre_slow")}
    card = (dataset / "README.md").read_text("utf-8")
    assert "zonation" in card
    assert "antibody-secreting B cells" in card
    assert report.path.is_file()
    assert {"composition", "expression"} <= set(report.missing)


@pytest.fixture
def own(tmp_path) -> Path:
    """A preset of one's own for the small atlas: roles, a file of markers, a ratio and a text."""
    (tmp_path / "sets.gmt").write_text("markers_hepatocyte\tOurs\tALB\tTF\nbile\tOurs\tAPOA1\tCYP2E1\tVSIG4\n")
    path = tmp_path / "own.toml"
    path.write_text(
        '[build]\ntissue = "own"\n[build.roles]\ncell_type = "cell_type"\nsample = "sample"\n'
        '[[gene_sets]]\nfile = "sets.gmt"\n[learn]\nratios = [["ALB", "CD163"]]\n[card]\npretty_name = "Ours"\n'
    )
    return path


def test_a_dataset_needs_the_file_of_its_preset_no_more(follower, own, tmp_path):
    run = CliRunner()
    done = run.invoke(cli, ["build", str(follower), "-o", str(tmp_path / "d"), "--preset", str(own), "--no-project"])
    assert done.exit_code == 0, done.output
    preset = read_preset(own)
    own.unlink()
    (tmp_path / "sets.gmt").unlink()
    atlas = titin.open(tmp_path / "d")
    assert atlas.manifest.prefix == "own_10x"
    assert (atlas.preset, list(atlas.preset.sets)) == (preset, ["markers_hepatocyte", "bile"])
    assert {g for g, why in atlas.manifest.panel["genes"].items() if why == "marker"} == {"ALB", "TF"}
    assert "bile" in programme_sets(atlas.preset)
    assert "preset: own" in run.invoke(cli, ["info", str(tmp_path / "d")]).output
    done = run.invoke(cli, ["card", str(tmp_path / "d"), "--no-images"])
    assert done.exit_code == 0, done.output
    assert "# Ours" in (tmp_path / "d" / "README.md").read_text("utf-8")


def test_a_report_leaves_out_what_the_preset_does_not_want(follower, own, tmp_path):
    dataset = titin.build(follower, tmp_path / "d", preset="liver", project=(), threads=1).path
    every = [
        "projections",
        "quality",
        "design",
        "markers",
        "composition",
        "senescence",
        "programmes",
        "variance",
        "expression",
    ]
    own.write_text(f"[report]\nleave_out = {every}\n")
    report = write_report(dataset, preset=own)
    assert not set(every) & set(report.facts)
    own.write_text('[report]\nleave_out = ["markings"]\n')
    with pytest.raises(TitinError, match="the preset own leaves 'markings' out") as error:
        write_report(dataset, tmp_path / "other.html", preset=own)
    assert "markers" in error.value.hint
    assert not (tmp_path / "other_files").exists()


def test_a_dataset_built_before_keeps_the_preset_of_its_card(follower, tmp_path):
    dataset = titin.build(follower, tmp_path / "d", preset="liver", project=(), threads=1).path
    card = (dataset / "README.md").read_bytes()
    manifest = Manifest.read(dataset)
    manifest.preset, manifest.settings["card"] = {}, {"preset": "liver", "license": None}
    del manifest.settings["preset"]
    manifest.write(dataset)
    for _ in range(2):
        write_card(dataset, images=False, croissant=False)
        difference = set(card.splitlines()) ^ set((dataset / "README.md").read_bytes().splitlines())
        # the script that makes it again comes with a card that is made later, and counts among the bytes
        assert all(b"data_processing" in line or b"read as it is" in line for line in difference), difference
        assert titin.open(dataset).preset == read_preset("liver")


def test_the_card_makes_a_preset_the_datasets_and_other_commands_take_it_for_once(follower, own, tmp_path):
    dataset = titin.build(follower, tmp_path / "d", preset="liver", project=(), threads=1).path
    models = {"tasks": ["cell_type"], "models": ["logistic@markers"], "splits": ["leave_one_donor_out"],
              "permutations": 0, "figures": False}  # fmt: skip
    first, again = (run_benchmark(dataset, tmp_path / "b", **models) for _ in range(2))
    assert (first.kept, again.ran) == (0, 0)
    assert run_benchmark(dataset, tmp_path / "b", preset=own, **models).ran == first.ran  # models see another preset
    assert titin.open(dataset).preset == read_preset("liver")
    done = CliRunner().invoke(cli, ["card", str(dataset), "--preset", str(own), "--no-images"])
    assert done.exit_code == 0, done.output
    assert titin.open(dataset).preset == read_preset(own)
