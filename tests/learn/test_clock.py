"""Clocks: what a file of one holds, and that it tells of other donors what the benchmark said it would."""

import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy import stats
from test_few_units import GENES, build

import titin
from titin.cli import cli
from titin.errors import OutputError, TitinError
from titin.learn import Clock, Model, run_benchmark
from titin.learn.clock_ages import accelerate, half_width

MODELS = ["ridge", "ridge_by_type", "elastic_net", "pls"]


@pytest.fixture(scope="module")
def clocks(demo):
    return {model: Clock(model).fit(demo, threads=1) for model in MODELS}


@pytest.fixture(scope="module")
def board(demo, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clock")
    done = run_benchmark(demo, folder / "results", tasks=["age"], models=MODELS, splits=["leave_one_donor_out"],
                         permutations=9, figures=False, threads=1, save_clock=folder / "best.clock")  # fmt: skip
    return folder, done


def test_errors_of_held_out_donors_are_those_of_the_board(board, clocks):
    _, done = board
    scores = done.scores.query("metric == 'mae' and of == 'donor'").set_index("model")["value"]
    for model, clock in clocks.items():
        assert clock.scores_["mae"] == pytest.approx(scores[model], rel=1e-6), model


def test_the_best_clock_of_a_board_is_saved_and_said_to_be_chosen(board, clocks):
    folder, done = board
    saved = Clock.load(folder / "best.clock")
    best = min(MODELS, key=lambda name: clocks[name].scores_["mae"])
    assert saved.model == best
    assert saved.contents_.document["model"]["chosen_of"] == MODELS
    assert f"the clock {best} is in {folder / 'best.clock'}, chosen of 4 for its error" in done.told


@pytest.mark.parametrize("model", MODELS)
def test_a_clock_tells_the_same_when_it_is_read_back(demo, clocks, tmp_path, model):
    path = clocks[model].save(tmp_path / "a.clock")
    again = Clock.load(path)
    told, read = clocks[model].predict(demo, threads=1), again.predict(demo, threads=1)
    pd.testing.assert_frame_equal(told.table, read.table)
    pd.testing.assert_frame_equal(told.by_type, read.by_type)
    again.save(tmp_path / "b.clock")
    assert path.read_bytes() == (tmp_path / "b.clock").read_bytes()
    with pytest.raises(OutputError, match="is there already"):
        clocks[model].save(path)


def test_what_a_clock_tells_is_what_its_model_predicts(demo, clocks):
    """Of training donors; by gene weights and means, not by the estimator."""
    from titin.learn import atlas_design, check_task, find_models, find_tasks, make_units
    from titin.learn.cells import gather_moments, gather_units
    from titin.learn.fitting import fit_features, fit_model
    from titin.learn.folds import Fold
    from titin.learn.models import TrainingContext
    from titin.learn.plan import usable_units

    design = atlas_design(demo)
    task = find_tasks(design, ["age"])[0]
    model = next(m for m in find_models(["ridge_by_type"]) if m.name == "ridge_by_type").for_task(task)
    units = make_units(design, "pseudocell")
    moments = gather_moments(demo, design, threads=1)
    data = gather_units(moments, demo, {"pseudocell": (units, np.arange(demo.n_vars))}, threads=1)["pseudocell"]
    rows = np.flatnonzero(usable_units(check_task(task, design), units))
    features = fit_features(model.features, data, Fold(0, rows, rows), task, None)
    fitted = fit_model(model, TrainingContext(task, features.maker.names, len(rows)), data, features)
    expected = pd.Series(fitted.predict(features.X)).groupby(units.obs["donor"].astype(str).to_numpy()[rows]).median()
    told = clocks["ridge_by_type"].predict(demo, threads=1).table.set_index("donor")["predicted"]
    pd.testing.assert_series_equal(told, expected, check_names=False, atol=1e-2)


def test_intervals_are_those_of_held_out_errors(demo, clocks):
    clock = clocks["ridge"]
    ages = clock.predict(demo, coverage=0.9, threads=1)
    held = clock.donors_.dropna(subset=["predicted"])
    rmse = np.sqrt(((held["predicted"] - held["age"]) ** 2).mean())
    assert rmse == pytest.approx(clock.scores_["rmse"])
    width = stats.t.ppf(0.95, len(held)) * rmse
    np.testing.assert_allclose(ages.table["high"] - ages.table["predicted"], width, rtol=1e-6)
    assert (ages.table["low"] >= 0).all()
    one = ages.by_type.groupby("cell_type").apply(lambda t: (t["high"] - t["predicted"]).iloc[0], include_groups=False)
    of = clock.cell_types_.set_index("cell_type")
    for kind, found in one.items():
        expected = half_width(of.loc[kind, "rmse"], of.loc[kind, "n_held_out"], 0.9)
        assert found == pytest.approx(expected, nan_ok=True), kind
    assert np.isnan(half_width(3.0, 4, 0.95))


def test_acceleration_is_the_residual_of_the_line():
    age = np.array([20.0, 30, 40, 50, 60, np.nan])
    predicted = np.array([35.0, 33, 45, 47, 52, 40])
    found = accelerate(age, predicted)
    line = stats.linregress(age[:5], predicted[:5])
    np.testing.assert_allclose(found[:5], predicted[:5] - line.intercept - line.slope * age[:5], atol=1e-9)
    assert np.isnan(found[5])
    assert np.isnan(accelerate(age[:4], predicted[:4])).all()
    np.testing.assert_allclose(accelerate(age, predicted + 12)[:5], found[:5], atol=1e-9)  # a shift between studies


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Eight donors of two types, and eight others, of whom one gene is missing and whose types are others in part."""
    folder = tmp_path_factory.mktemp("small")
    ages = [20, 30, 35, 50, 60, 65, 70, 75]
    one = build(folder / "one", [60] * 8, ages, types=("T", "B"), seed=1)

    def other(obs):
        obs["donor"] = "x" + obs["donor"]
        return obs

    two = build(folder / "two", [60] * 8, ages, types=("T", "new"), seed=2, change=other)
    return one, two, Clock("ridge").fit(one, threads=1)


def test_donors_of_another_dataset_are_told_with_what_is_missing(small, tmp_path):
    one, two, clock = small
    ages = clock.predict(two, threads=1)
    assert not ages.table["trained_on"].any()
    assert ages.scores["n_donors"] == len(ages.table)
    assert set(ages.by_type["cell_type"]) == {"T"}
    assert "cell types that the clock was not trained on take no part: new" in ages.told
    same = clock.predict(one, threads=1)
    assert same.table["trained_on"].all()
    assert same.scores == {}
    assert same.clock["of_same_dataset"]
    assert not ages.clock["of_same_dataset"]


def test_missing_genes_are_at_their_mean_and_told(small, tmp_path):
    import anndata as ad

    one, _, clock = small
    adata = ad.read_h5ad(one.parent / "s.h5ad")
    weight = np.abs(clock.contents_.arrays["coef"]).sum(axis=0)
    names = [gene["name"] for gene in clock.contents_.document["genes"]]
    gone = names[int(weight.argmax())]
    (tmp_path / "less").mkdir()
    adata[:, [name for name in GENES if name != gone]].copy().write_h5ad(tmp_path / "less" / "s.h5ad")
    titin.build(tmp_path / "less" / "s.h5ad", tmp_path / "less" / "dataset", shuffle=False)
    ages = clock.predict(tmp_path / "less" / "dataset", threads=1)
    share = weight.max() / weight.sum()
    assert ages.genes == {"asked": len(names), "found": len(names) - 1, "missing_weight": pytest.approx(share)}
    told = f"1 of the clock's {len(names)} genes are missing here, which carry {share:.1%} of its weight"
    assert any(said.startswith(told) for said in ages.told)


def test_command_line_from_one_dataset_to_another(small, tmp_path):
    one, two, _ = small
    run = CliRunner()
    clock, out = tmp_path / "one.clock", tmp_path / "ages.csv"
    made = run.invoke(cli, ["bench", str(one), "-o", str(tmp_path / "b"), "--task", "age", "--model", "ridge", "-q",
                            "--no-figures", "--permutations", "5", "--save-clock", str(clock)])  # fmt: skip
    assert made.exit_code == 0, made.output
    told = run.invoke(cli, ["predict", str(two), "--clock", str(clock), "-q", "--json", "-o", str(out)])
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    assert [row["donor"] for row in found["donors"]] == [f"xD{i}" for i in range(0, 8, 2)]
    assert {"age", "predicted", "low", "high", "difference", "acceleration"} <= set(found["donors"][0])
    assert sorted(file.name for file in tmp_path.glob("ages*")) == [
        "ages.csv", "ages.json", "ages_by_type.csv", "ages_types.csv"]  # fmt: skip
    again = run.invoke(cli, ["predict", str(two), "--clock", str(clock), "-q", "-o", str(out)])
    assert isinstance(again.exception, OutputError)
    text = run.invoke(cli, ["predict", str(two), "--clock", str(clock), "-q"]).output
    assert "years with each held out" in text
    assert "xD0" in text


def test_what_is_not_linear_in_genes_is_no_clock(small, tmp_path):
    one, _, _ = small
    with pytest.raises(TitinError, match="no clock can be made of boosting@pca"):
        Clock("boosting").fit(one, threads=1)
    from sklearn.neighbors import KNeighborsRegressor

    crooked = Model("crooked", lambda: KNeighborsRegressor(3), ("regression",), "centred")
    with pytest.raises(TitinError, match="not linear in its genes"):
        Clock(crooked).fit(one, threads=1)


@pytest.fixture
def members(small, tmp_path):
    path = small[2].save(tmp_path / "good.clock")
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def write(path, members, compress=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compress) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def changed(members, change):
    document = json.loads(members["clock.json"])
    change(document)
    return {**members, "clock.json": json.dumps(document)}


def npy(array):
    import io

    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=True)
    return buffer.getvalue()


def bad_files(members):
    coef = members["coef.npy"]
    at = coef.index(b"\n") + 1
    nan = np.frombuffer(coef[at:], np.float32).copy()
    nan[0] = np.nan
    genes = len(json.loads(members["clock.json"])["genes"])
    yield "no zip", None
    yield "a member more", {**members, "evil.npy": b""}
    yield "a member less", {name: data for name, data in members.items() if name != "coef.npy"}
    yield "pickled objects", {**members, "coef.npy": npy(np.array([[print] * genes], object))}
    yield "another shape", {**members, "coef.npy": npy(np.zeros((1, genes + 1), np.float32))}
    yield "another type", {**members, "coef.npy": npy(np.zeros((1, genes), np.float64))}
    yield "no number", {**members, "coef.npy": coef[:at] + nan.tobytes()}
    yield "cut off", {**members, "coef.npy": coef[:-4]}
    yield "a shape beyond memory", {**members, "intercept.npy": npy(np.zeros(1)).replace(b"(1,)", b"(9999999999999,)")}
    yield "a bomb", {**members, "coef.npy": coef + bytes(50_000_000)}
    yield "a bomb of JSON", {**members, "clock.json": b" " * (80 << 20)}
    yield "NaN in JSON", {**members, "clock.json": members["clock.json"].replace(b'"seed": 0', b'"seed": NaN')}
    yield "a gene twice", changed(members, lambda d: d["genes"].__setitem__(1, d["genes"][0]))
    yield "a later version", changed(members, lambda d: d.__setitem__("version", 2))
    yield "no mean of all", changed(members, lambda d: d.__setitem__("groups", [
        {"cell_type": f"t{i}", "protocol": ""} for i in range(len(d["groups"]))]))  # fmt: skip
    yield "another level", changed(members, lambda d: d["model"].__setitem__("level", "galaxy"))


def test_a_file_that_is_no_clock_is_refused_in_words(members, tmp_path):
    for name, content in bad_files(members):
        path = tmp_path / "bad.clock"
        if content is None:
            path.write_bytes(b"\x80\x04not a zip")
        else:
            write(path, content)
        with pytest.raises(TitinError, match=r"bad\.clock is no clock: ") as error:
            Clock.load(path)
        assert len(str(error.value)) < 400, name
    with pytest.raises(TitinError, match="there is no file"):
        Clock.load(tmp_path / "none.clock")
    with pytest.raises(TitinError, match="is no clock"):
        Clock.load(tmp_path)
    assert Clock.load(write(tmp_path / "stored.clock", members, zipfile.ZIP_STORED)).scores_["n_donors"] == 8


def test_chosen_cells_alone_take_part_and_the_conditions_are_kept(small, tmp_path):
    one, two, _ = small
    out = tmp_path / "b"
    asked = {"tasks": ["age"], "models": ["ridge"], "splits": ["leave_one_donor_out"], "figures": False, "threads": 1,
             "permutations": 5}  # fmt: skip
    done = run_benchmark(one, out, where=["cell_type=T"], save_clock=tmp_path / "t.clock", **asked)
    assert set(done.scores["n_donors"]) == {4}
    assert json.loads((out / "scores.json").read_text())["where"] == ["cell_type=T"]
    assert "Cells were chosen: cell_type=T." in (out / "leaderboard.md").read_text()
    assert any("not chosen by --where" in said for said in done.told)
    with pytest.raises(TitinError, match="other splits than this dataset and seed give, or of other cells"):
        run_benchmark(one, out, **asked)
    clock = Clock.load(tmp_path / "t.clock")
    assert clock.contents_.document["dataset"]["where"] == ["cell_type=T"]
    ages = clock.predict(two, where=["age>=50"], threads=1)
    assert (ages.table["age"] >= 50).all()
    assert ages.settings["where"] == ["age>=50"]
    with pytest.raises(TitinError, match="no cell has 'Q'"):
        run_benchmark(one, tmp_path / "c", where=["cell_type=Q"], **asked)
