"""A static Space beside the published dataset: against a Hub on this machine, as `test_hub` does."""

import hashlib
import json
from pathlib import Path

import pytest
from card_parts import flat, matter_of
from click.testing import CliRunner

from fakehub import WELCOME, Fault, File, Repo, State
from hub_worker import REPO, TOKEN, Worker
from titin.check import validate
from titin.cli import cli
from titin.errors import TitinError
from titin.explore import page, write_page
from titin.publish import publish as publish_here
from titin.publish import upload as to_hub
from titin.publish.card import make_facts
from titin.publish.space import space_card

pytest.importorskip("huggingface_hub", reason="needs `pip install huggingface_hub`")
SPACE = "me/cells"
FILES = {"README.md", page.INDEX, *page.FILES}
pytestmark = pytest.mark.skipif(
    not (page.BUNDLE / "explorer.js").is_file(), reason="the explorer's page is not built: python hatch_build.py"
)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing reaches for the Hub, and the validation is short."""

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError(arguments)

    monkeypatch.setattr(to_hub, "Repository", refuse)
    monkeypatch.setattr(to_hub, "_validate", lambda copy, *_: validate(copy, level="quick", checks=["integrity"]))


def test_the_page_goes_up_beside_the_dataset(
    hub: State, settings: dict[str, str], dataset: Path, publish: Worker
) -> None:
    done = publish(dataset, space=SPACE)
    assert done["verified"] == len(done["files"])
    space, files = done["space"], hub.spaces[SPACE].files()
    assert hub.spaces[SPACE].sdk == "static"
    assert set(files) == FILES | {".gitattributes"}  # nothing is left of the Hub's own page of welcome
    assert {f["name"]: f["sha256"] for f in space["files"]} == {
        name: hashlib.sha256(files[name].data).hexdigest() for name in FILES
    }
    assert (space["verified"], space["kept"]) == (len(FILES), [])
    assert space["sent"] == sum(f["bytes"] for f in space["files"])
    assert all(files[name].data == page.read_file(name) for name in page.FILES)

    there = f"{settings['HF_ENDPOINT']}/datasets/{REPO}/resolve/main/"
    index = files[page.INDEX].data.decode()
    assert space["reads"] == there
    assert f'<meta name="titin-data" content="{there}">' in index
    assert f"hf://datasets/{REPO}" in index
    assert TOKEN not in index

    card, welcome = hub.repos[REPO].files()["README.md"].data.decode(), files["README.md"].data.decode()
    assert f"[Explore it in the browser]({settings['HF_ENDPOINT']}/spaces/{SPACE})" in card
    assert f"space={SPACE!r}" in hub.repos[REPO].files()["data_processing.py"].data.decode()
    matter = matter_of(welcome)
    assert (matter["sdk"], matter["app_file"], matter["datasets"]) == ("static", page.INDEX, [REPO])
    assert len(matter["short_description"]) <= 60  # what the Hub takes
    assert "1,100 cells × 400 genes" in flat(welcome)
    assert f"({settings['HF_ENDPOINT']}/datasets/{REPO})" in welcome

    commits = len(hub.spaces[SPACE].commits), len(hub.repos[REPO].commits)
    again = publish(dataset, space=SPACE)
    assert (again["sent"], again["space"]["sent"], again["space"]["commit"]) == (0, 0, space["commit"])
    assert (len(hub.spaces[SPACE].commits), len(hub.repos[REPO].commits)) == commits


def test_interrupted_between_dataset_and_page_it_goes_on(hub: State, dataset: Path, publish: Worker) -> None:
    hub.faults.append(Fault(r"POST /api/spaces/.*/commit/", 10**6))
    failed = publish(dataset, space=REPO, attempts=2)
    assert "committing: " in failed["error"]
    assert "publish again" in failed["error"]
    assert "titin.json" in hub.repos[REPO].files()
    assert set(hub.spaces[REPO].files()) == set(WELCOME)
    hub.faults.clear()
    done = publish(dataset, space=REPO)
    assert (done["sent"], done["space"]["verified"]) == (0, len(FILES))
    assert set(hub.spaces[REPO].files()) == FILES | {".gitattributes"}


@pytest.mark.slow
def test_what_somebody_has_put_there_stays(hub: State, dataset: Path, publish: Worker) -> None:
    assert publish(dataset, space=SPACE)["space"]["verified"]
    files = hub.spaces[SPACE].files()
    files["notes.txt"] = File(b"mine")
    files["explorer.js"] = File(b"of an earlier version")
    done = publish(dataset, space=SPACE)["space"]
    assert done["kept"] == ["notes.txt"]
    assert done["sent"] == len(page.read_file("explorer.js"))
    assert hub.spaces[SPACE].files()["notes.txt"].data == b"mine"


def of_another(hub: State) -> None:
    hub.spaces[SPACE] = Repo(sdk="static")
    hub.spaces[SPACE].commits["1" * 40] = {"index.html": File(b"somebody's page")}
    hub.spaces[SPACE].branches["main"] = "1" * 40


def with_a_program(hub: State) -> None:
    hub.spaces[SPACE] = Repo(sdk="gradio")


def private(hub: State) -> None:
    hub.repos[REPO] = Repo(private=True)


def gated(hub: State) -> None:
    hub.repos[REPO] = Repo(gated=True)


def no_right(hub: State) -> None:
    hub.repos[REPO] = Repo()
    hub.faults.append(Fault(r"POST /api/repos/create", 9, status=403, message=f"no {TOKEN}"))


@pytest.mark.parametrize(
    ("prepare", "message", "hint"),
    [
        (of_another, "the Space me/cells is there already, and its page is none of titin", "name another one"),
        (with_a_program, "the Space me/cells is there already, and its sdk is gradio, not static", "name another one"),
        (private, "me/atlas is there already and private", "publish without --space"),
        (gated, "me/atlas is there already and gated", "publish without --space"),
        (no_right, "creating the Space: the token may not write there (me/cells)", "take a token with write access"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_space_that_cannot_be_is_refused_before_anything_is_sent(
    hub: State, dataset: Path, publish: Worker, prepare, message: str, hint: str
) -> None:
    prepare(hub)
    before = {name: dict(repo.files()) for name, repo in hub.spaces.items()}
    done = publish(dataset, space=SPACE)
    assert message in done["error"]
    assert hint in done["error"]
    assert TOKEN not in done["error"]
    assert done["exit_code"] == 1
    assert hub.uploaded == []
    assert hub.repos[REPO].files() == {}
    assert {name: dict(repo.files()) for name, repo in hub.spaces.items()} == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": "cells"}, "'cells' names no Space"),
        ({"space": "me/cells", "private": True}, "cannot show a private dataset"),
        ({"space": "me/cells", "write_page": None}, "nothing makes the page of the Space"),
    ],
)
def test_what_is_known_beforehand_is_refused_at_once(offline: None, dataset: Path, options, message: str) -> None:
    with pytest.raises(TitinError, match=message):
        publish_here(dataset, REPO, **{"write_page": write_page, **options})


def test_without_the_page_nothing_is_sent(
    offline: None, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "BUNDLE", tmp_path / "none")
    done = CliRunner().invoke(cli, ["publish", str(dataset), REPO, "--dry-run", "--space"])
    assert isinstance(done.exception, TitinError)
    assert "page is not built" in str(done.exception)


def test_a_dry_run_shows_the_space(offline: None, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    told = CliRunner().invoke(cli, ["publish", str(dataset), REPO, "--dry-run", "--space"], catch_exceptions=False)
    assert told.exit_code == 0
    reads = f"https://huggingface.co/datasets/{REPO}/resolve/main/"
    assert f"Space {REPO}: {len(FILES)} files" in told.output
    assert f"its page reads {reads}" in told.output
    assert "nothing was sent (dry run)" in told.output
    command = ["publish", str(dataset), REPO, "--space", SPACE, "--revision", "next", "--dry-run", "--json", "-q"]
    space = json.loads(CliRunner().invoke(cli, command, catch_exceptions=False).stdout)["space"]
    assert (space["repo_id"], space["url"]) == (SPACE, f"https://huggingface.co/spaces/{SPACE}")
    assert space["reads"].endswith(f"/datasets/{REPO}/resolve/next/")
    assert {f["name"] for f in space["files"]} == FILES
    assert (space["commit"], space["verified"]) == (None, None)


@pytest.mark.parametrize("title", ["a: [b", "---\nsdk: docker", "<script>alert(1)</script>", "yes", "![x](http://y)"])
def test_a_title_is_text_in_the_space_too(dataset: Path, title: str) -> None:
    facts = make_facts(dataset, repo_id=REPO)
    facts.title = title
    text = space_card(facts)
    assert matter_of(text)["sdk"] == "static"
    body = text.split("---\n", 2)[-1]
    assert "<script" not in body
    assert "![x](" not in body
    assert len(text.split("\n---\n")) == 2
