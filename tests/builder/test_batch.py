"""Many sources from one table: each built as by itself, what is there skipped, what fails said."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import titin
from titin.cli import main
from titin.dataset.manifest import Manifest
from titin.demo import write_demo_atlas
from titin.errors import TitinError

HEADER = "source,output,cell_type,--seed,no-shuffle,project,donors"
ROWS = ("a.h5ad,out/a,annotation_level0;annotation_level1,3,yes,none,", "b.h5ad,b,,,,none,")


@pytest.fixture(scope="session")
def sources(made_once):
    def make(folder):
        for seed, name in enumerate("ab"):
            write_demo_atlas(folder / f"{name}.h5ad", n_cells=50 + 10 * seed, n_genes=150, seed=seed)

    return made_once("batch", make)


@pytest.fixture
def folder(sources, tmp_path, monkeypatch):
    for name in "ab":
        (tmp_path / f"{name}.h5ad").write_bytes((sources / f"{name}.h5ad").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def batch(capsys, *arguments):
    """Exit code, and the document."""
    capsys.readouterr()
    code = 0
    try:
        main(["batch", "m.csv", "--json", "-q", *arguments])
    except SystemExit as done:
        code = done.code
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else said.err


def outcomes(document):
    return [(Path(row["output"]).name, row["outcome"]) for row in document["rows"]]


def files(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def write(*rows, header=HEADER):
    Path("m.csv").write_text("\n".join([header, *rows]) + "\n", "utf-8")


def test_a_batch_builds_skips_and_says_what_fails(folder, capsys):
    write(*ROWS, "", "none.h5ad,none,,,,none,")
    code, document = batch(capsys, "--at-once", "2", "--memory", "1200MiB", "-o", "outcomes.csv")
    assert code == 1
    assert outcomes(document) == [("a", "built"), ("b", "built"), ("none", "failed")]
    assert "none.h5ad does not exist" in document["rows"][2]["why"]
    assert not Path("none").exists()
    seen = pd.read_csv("outcomes.csv")
    assert seen["outcome"].tolist() == ["built", "built", "failed"]
    own = Manifest.read(folder / "out" / "a")
    assert (own.settings["seed"], own.settings["shuffle"]) == (3, False)
    assert own.roles["cell_type"] == ["annotation_level0", "annotation_level1"]
    assert document["rows"][0]["n_cells"] == own.n_cells == 50
    assert document["rows"][0]["bytes"] == sum(entry["bytes"] for entry in own.files.values())
    titin.build("a.h5ad", "alone", roles={"cell_type": ["annotation_level0", "annotation_level1"]}, seed=3,
                shuffle=False, project=[])  # fmt: skip
    assert files(folder / "alone") == files(folder / "out" / "a")

    before = files(folder / "b")
    write(*ROWS)
    assert "outcomes.csv exists" in batch(capsys, "-o", "outcomes.csv")[1]
    code, document = batch(capsys)
    assert (code, outcomes(document)) == (0, [("a", "skipped"), ("b", "skipped")])
    write(ROWS[0], "a.h5ad,b,,,,none,")
    code, document = batch(capsys)
    assert (code, outcomes(document)) == (1, [("a", "skipped"), ("b", "failed")])
    assert "another source" in document["rows"][1]["why"]
    assert files(folder / "b") == before
    write("b.h5ad,b,,7,,none,")  # a row is a process of its own, which takes a second to begin
    code, document = batch(capsys)
    assert "other settings (seed)" in document["rows"][0]["why"]
    code, document = batch(capsys, "--force")
    assert (code, outcomes(document)) == (0, [("b", "built")])
    assert Manifest.read(folder / "b").settings["seed"] == 7


WRONG = [
    ("source", ["a.h5ad"], "has no column output"),
    ("output,source,colour", ["b,b.h5ad,red"], "'colour' is no option"),
    ("source,output,cell-typ", ["a.h5ad,a,x"], "did you mean cell-type"),
    ("source,output,threads", ["a.h5ad,a,2"], "holds for the whole batch"),
    ("source,output,force", ["a.h5ad,a,yes"], "holds for the whole batch"),
    ("source,output,seed,--seed", ["a.h5ad,a,1,2"], "two columns seed"),
    ("source,output", [], "has no row"),
    ("source,output", ["a.h5ad,"], "line 2: there is no output"),
    ("source,output", ["a.h5ad,a", "b.h5ad,./a"], "the output of m.csv, line 2, too"),
    ("source,output", ["a.h5ad,a", "b.h5ad,a/b"], "lies in the output of m.csv, line 2"),
    ("source,output", ["a.h5ad,a", "a/x.h5ad,b"], "lies in the output of m.csv, line 2"),
    ("source,output", ["a.h5ad,../a"], "leads out of the folder"),
    ("source,output", ["/etc/passwd,a"], "leads out of the folder"),
    ("source,output", ["a.h5ad,s3://bucket/a"], "is a URL"),
    ("source,output,storage-options", ["a.h5ad,a,anon=true"], "holds for the whole batch"),
    ("source,output", ["link/x.h5ad,a"], "leads out of the folder"),
    ("source,output,donors", ["a.h5ad,a,../d.csv"], "leads out of the folder"),
    ("source,output,preset", ["a.h5ad,a,/etc/p.toml"], "leads out of the folder"),
    ("source,output,preset", ["a.h5ad,a,nothing"], "line 2: there is no preset"),
    ("source,output,seed", ["a.h5ad,a,many"], "line 2"),
    ("source,output,license", ["a.h5ad,a,mine!"], "line 2"),
    ("source,output,no-shuffle", ["a.h5ad,a,perhaps"], "--no-shuffle is 'perhaps'"),
    ("source,output,age-unit", ["a.h5ad,a,moons"], "line 2"),
    ("source,output", ["a.h5ad,s3:/bucket/a"], "line 2: s3:/bucket/a is neither a path nor a URL"),
    ("source,output", ["a.h5ad,a.h5ad"], "line 2: the output"),
    ("source,output", ["a.h5ad,b.h5ad", "b.h5ad,c"], "is the source of"),
    ("source,output", ["a.h5ad,m.csv"], "is the table itself"),
    ("source;output", ["a.h5ad;a"], "write commas"),
    ("source,output", ["a.h5ad,a,b,c"], "cannot be read as a table"),
]


@pytest.mark.parametrize(("header", "rows", "said"), WRONG)
def test_a_table_that_cannot_be_meant_is_refused_before_anything_is_built(folder, capsys, header, rows, said):
    (folder / "link").symlink_to("/etc")
    write(*rows, header=header)
    code, document = batch(capsys)
    assert code == 2
    assert said in document
    assert sorted(path.name for path in folder.iterdir()) == ["a.h5ad", "b.h5ad", "link", "m.csv"]


def test_too_little_memory_for_so_many_is_refused(folder, capsys):
    write(*ROWS)
    code, said = batch(capsys, "--at-once", "3", "--memory", "1GiB")
    assert code == 2
    assert "give --memory 1536MiB, or fewer --at-once" in said


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200) | st.text(st.sampled_from("source,output\n\"';../~\x00=é\t"), max_size=80).map(
    lambda text: f"source,output\n{text}".encode("utf-8", "replace")))  # fmt: skip
def test_any_bytes_are_a_table_or_are_refused_in_words(tmp_path_factory, content):
    from titin.builder.batch_table import read_batch

    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    rows = []
    with contextlib.suppress(TitinError):
        rows = read_batch(path, ["seed"], ["donors"], ["threads"], anywhere=False)
    home = os.path.realpath(path.parent)
    assert all(os.path.realpath(one).startswith(home) for row in rows for one in (row.source, row.output))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_is_stopped_leaves_whole_datasets_only(folder, capsys, number):
    write(ROWS[0], "b.h5ad,b,,,,none,")
    command = [sys.executable, "-m", "titin", "batch", "m.csv", "-q"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    first = folder / "out" / "a" / "titin.json"
    while not first.exists():
        assert process.poll() is None
        time.sleep(0.02)
    while not (folder / ".b.titin-build").exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(number)
    code = process.wait(60)
    assert code in (128 + number, -number)
    until = time.monotonic() + 30
    while (
        _lock_is_held(folder / ".b.titin-build") and time.monotonic() < until
    ):  # the worker hears that its batch is gone
        time.sleep(0.05)
    before = files(folder / "out" / "a")
    code, document = batch(capsys, "--resume")
    assert (code, document["rows"][0]["outcome"]) == (0, "skipped")
    assert files(folder / "out" / "a") == before
    assert sorted(path.name for path in folder.iterdir()) == ["a.h5ad", "b", "b.h5ad", "m.csv", "out"]


def _lock_is_held(place):
    import fcntl

    try:
        with (place / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


@pytest.mark.slow
def test_a_table_of_donors_that_changed_is_noticed_whatever_its_date(folder, capsys):
    atlas = titin.open(titin.build("a.h5ad", "known", project=(), roles={"age": "Age_group"}).path)
    ages = atlas.ages.groupby(atlas.cell_columns("DonorID")["DonorID"].astype(str)).first()
    table = folder / "donors.csv"
    table.write_text("donor,age\n" + "".join(f"{donor},{int(age)}\n" for donor, age in ages.items()), "utf-8")
    (folder / "m.csv").write_text("source,output,project,donors\na.h5ad,a,none,donors.csv\n", "utf-8")
    code, document = batch(capsys)
    assert (code, outcomes(document)) == (0, [("a", "built")]), document
    code, document = batch(capsys)
    assert (code, outcomes(document)) == (0, [("a", "skipped")])
    text = table.read_text("utf-8")
    table.unlink()
    table.write_text(text, "utf-8")
    os.utime(table, (0, 0))
    code, document = batch(capsys)
    assert (code, outcomes(document)) == (1, [("a", "failed")])
    assert "an older table of donors" in document["rows"][0]["why"]
