"""Against a Hub on this machine: upload, kill, go on, faults, verify, read back. In processes of their own, as people
would run it: huggingface_hub reads its settings when it is imported."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from fakehub import Fault
from hub_worker import REPO, TOKEN, Worker
from titin.check import validate
from titin.cli import cli
from titin.publish import upload as to_hub
from titin.publish import write_card

pytest.importorskip("huggingface_hub", reason="needs `pip install huggingface_hub`")


def copy_of(folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(folder, target / folder.name))


def titin(settings: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "titin", *map(str, arguments)]
    return subprocess.run(command, env=settings, capture_output=True, text=True, check=False, timeout=300)


READER = """
import json, os, sys
import datasets, titin
datasets.disable_progress_bars()
repo = sys.argv[1]
names = datasets.get_dataset_config_names(repo)
answer = {"names": names, "default": datasets.get_dataset_default_config_name(repo), "rows": {}, "first": {}}
for name in names:
    stream = datasets.load_dataset(repo, name, split="train", streaming=True)
    answer["first"][name] = sorted(next(iter(stream)))
    answer["rows"][name] = datasets.load_dataset(repo, name, split="train").num_rows
print(json.dumps(answer))
"""


@pytest.mark.slow
def test_a_dataset_goes_up_and_is_read_back(hub, settings, dataset, tmp_path):
    before = {path.name: path.read_bytes() for path in dataset.iterdir()}
    done = titin(settings, "publish", dataset, REPO, "--tag", "v1", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["validation"]["passed"]
    assert {path.name: path.read_bytes() for path in dataset.iterdir()} == before
    assert [path.name for path in dataset.parent.iterdir()] == [dataset.name]

    repo = hub.repos[REPO]
    files = repo.files()
    assert {f["name"]: f["sha256"] for f in document["files"]} == {
        name: hashlib.sha256(file.data).hexdigest() for name, file in files.items()
    }
    assert document["verified"] == len(files)
    assert document["sent"] == document["bytes"] == sum(len(file.data) for file in files.values())
    assert repo.tags == {"v1": repo.branches["main"]}
    assert not repo.private
    assert TOKEN not in done.stdout + done.stderr
    assert f"Bearer {TOKEN}" in hub.tokens

    command = [sys.executable, "-c", READER, REPO]
    read = subprocess.run(command, env=settings, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert read.returncode == 0, read.stderr
    answer = json.loads(read.stdout.strip().splitlines()[-1])
    assert answer["names"] == document["configs"]
    assert answer["default"] == "expression"
    recorded = json.loads(files["titin.json"].data)["files"]
    assert answer["rows"] == {f["config"]: recorded[f["name"]]["rows"] for f in document["files"] if f["config"]}
    assert "age_years" not in answer["first"]["sample_metadata"]

    # again: nothing to send
    uploaded, commit = len(hub.uploaded), repo.branches["main"]
    again = json.loads(titin(settings, "publish", dataset, REPO, "--json").stdout)
    assert (again["sent"], again["commit"]) == (0, commit)
    assert (len(hub.uploaded), repo.branches["main"]) == (uploaded, commit)


ONE_GENE = """
import json, sys, titin
atlas = titin.open(sys.argv[1])
counts = atlas.counts_of(sys.argv[2])
first = json.dumps({"sum": int(counts.sum()), "shape": atlas.shape})
print(first)
"""


@pytest.mark.slow
def test_one_gene_is_read_without_the_rest(hub, settings, publish, tmp_path_factory):
    import titin as library
    from titin.builder import Progress
    from titin.demo import make_demo

    folder = tmp_path_factory.mktemp("wide")
    make_demo(folder, n_cells=4000, n_genes=2500, seed=0, force=False, progress=Progress())
    dataset = folder / "skeletal_muscle_10x"
    write_card(dataset, licence="cc-by-4.0", images=False)
    assert publish(dataset)["verified"]
    hub.sent.clear()
    command = [sys.executable, "-c", ONE_GENE, f"hf://datasets/{REPO}", "MYH7"]
    read = subprocess.run(command, env=settings, capture_output=True, text=True, check=False, timeout=300)
    assert read.returncode == 0, read.stderr
    local = library.open(dataset)
    assert json.loads(read.stdout) == {"sum": int(local.counts_of("MYH7").sum()), "shape": list(local.shape)}
    files = hub.repos[REPO].files()
    by_gene = len(files["skeletal_muscle_10x_expression_by_gene.parquet"].data)
    assert 0 < hub.n_sent("_by_gene.parquet") < by_gene / 2
    assert hub.n_sent("_expression.parquet") == 0
    assert hub.n_sent() < sum(len(file.data) for file in files.values()) / 4


def test_a_killed_upload_goes_on_where_it_was(hub, settings, dataset, publish):
    reached, release = threading.Event(), threading.Event()
    hub.hold = (3, reached, release)
    victim = Worker(settings)
    try:
        victim.start(dataset)
        assert reached.wait(120)
        victim.process.send_signal(signal.SIGKILL)
        victim.process.communicate()
        assert victim.process.returncode == -signal.SIGKILL
    finally:
        victim.process.kill()
        hub.hold = None
        release.set()
    assert hub.repos[REPO].files() == {}  # nothing is there by halves
    sent = [oid for oid, _ in hub.uploaded[:3]]
    (leftover,) = (path for path in dataset.parent.iterdir() if path != dataset)
    assert leftover.name.startswith(f".{dataset.name}.titin-")

    assert publish(dataset)["verified"] == len(hub.repos[REPO].files())
    again = [oid for oid, _ in hub.uploaded]
    assert all(again.count(oid) == 1 for oid in sent)
    assert set(sent) <= {file.sha256 for file in hub.repos[REPO].files().values()}
    assert not leftover.exists()


@pytest.mark.slow
def test_faults_that_pass_are_waited_for(hub, dataset, publish):
    hub.faults += [
        Fault(r"POST .*/commit/", 2), Fault(r"POST .*/create", 1), Fault(r"GET .*/tree/", 1, status=None),
        Fault(r"POST .*/batch", 1, status=None), Fault(r"POST .*/preupload/", 1, status=429),
        Fault(r"PUT /_large/", 1, status=None),
    ]  # fmt: skip
    assert publish(dataset)["verified"] == len(hub.repos[REPO].files())
    assert [fault.times for fault in hub.faults] == [0] * 6


def test_faults_that_stay_end_it_with_a_message(hub, dataset, publish):
    hub.faults.append(Fault(r"POST .*/commit/", 10**6))
    done = publish(dataset, attempts=3)
    assert done["exit_code"] == 1
    assert "committing: " in done["error"]
    assert "publish again: what has been uploaded is kept" in done["error"]
    assert hub.faults[0].times == 10**6 - 3
    assert hub.repos[REPO].files() == {}


@pytest.mark.parametrize(("status", "message"), [
    (401, "does not accept the token"), (412, "pushed"),
    pytest.param(403, "may not write", marks=pytest.mark.slow), pytest.param(400, "boom", marks=pytest.mark.slow),
])  # fmt: skip
def test_what_the_hub_refuses_is_said_without_the_token(hub, dataset, publish, status, message):
    hub.faults.append(Fault(r"POST .*/commit/", 10, status=status, message=f"boom {TOKEN}"))
    done = publish(dataset)
    assert done["exit_code"] == 1
    assert message in done["error"]
    assert TOKEN not in done["error"] + done["traceback"]
    assert ("***" in done["error"]) == (status == 400)
    assert hub.faults[0].times == 9


def test_without_a_token(hub, settings, dataset):
    none = {name: value for name, value in settings.items() if name != "HF_TOKEN"}
    done = titin(none, "publish", dataset, REPO)
    assert done.returncode == 2
    assert "there is no token for the Hub" in done.stderr
    assert "hf auth login" in done.stderr
    assert hub.requests == []


@pytest.mark.slow
def test_stale_shards_go_and_other_files_stay(hub, dataset, sharded, publish, tmp_path):
    first = copy_of(sharded, tmp_path)
    write_card(first, licence="cc-by-4.0", images=False)
    assert publish(first)["verified"]
    repo = hub.repos[REPO]
    shards = {name for name in repo.files() if "-of-" in name}
    assert len(shards) > 3
    repo.files()["notes.txt"] = repo.files()["README.md"]

    document = publish(dataset, message="whole files")
    assert set(document["stale"]) == shards
    assert document["kept"] == ["notes.txt"]
    assert not any("-of-" in name for name in repo.files())
    assert "notes.txt" in repo.files()


@pytest.mark.slow
def test_what_differs_on_the_hub_is_sent_again(hub, dataset, publish):
    assert publish(dataset)["verified"]
    files = hub.repos[REPO].files()
    files["croissant.json"].data += b" "
    files["skeletal_muscle_10x_projection_X_umap.parquet"].sha256 = "0" * 64
    done = publish(dataset)
    assert done["sent"] == sum(
        f["bytes"] for f in done["files"] if f["name"].endswith(("croissant.json", "X_umap.parquet"))
    )
    assert done["verified"] == len(done["files"])


@pytest.mark.slow
def test_a_file_that_arrives_changed_is_found(hub, dataset, publish):
    hub.corrupt = "croissant.json"
    done = publish(dataset)
    assert done["exit_code"] == 1
    assert "files on the Hub are not those that were sent: croissant.json" in done["error"]


@pytest.mark.slow
def test_private_branch_and_tag(hub, dataset, publish):
    done = publish(dataset, private=True, revision="next", tag="v2")
    assert done["tag"] == "v2"
    repo = hub.repos[REPO]
    assert repo.private
    assert repo.files("main") == {}
    assert "titin.json" in repo.files("next")
    assert repo.tags["v2"] == repo.branches["next"]
    assert publish(dataset, revision="next", tag="v2", private=True)["sent"] == 0

    repo.tags["v2"] = "0" * 40
    assert "the tag v2 is there already, on commit 00000000" in publish(dataset, revision="next", tag="v2")["error"]
    repo.private = False
    assert "is there already and public" in publish(dataset, private=True)["error"]


def test_a_dry_run_needs_no_token_and_reaches_for_nothing(dataset, monkeypatch):
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError(arguments)

    monkeypatch.setattr(to_hub, "Repository", refuse)
    monkeypatch.setattr(to_hub, "_validate", lambda copy, *_: validate(copy, level="quick", checks=["integrity"]))
    done = CliRunner().invoke(cli, ["publish", str(dataset), REPO, "--dry-run"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "nothing was sent (dry run)" in done.output
    assert "default config: expression" in done.output
    assert "ages bins" in done.output
    described = json.loads(CliRunner().invoke(cli, ["publish", str(dataset), REPO, "--dry-run", "--json", "-q"]).stdout)
    assert described["dry_run"]
    there = {path.name for path in dataset.iterdir()}
    assert {f["name"] for f in described["files"]} == there | {"validation_report.json"}
