"""A path that is no dataset is told from one that is near one, with what to give instead."""

import shutil
from pathlib import Path

import click
import pytest

from titin.cli import cli, main
from titin.dataset.manifest import Manifest
from titin.errors import DatasetError

PLACES = {
    "atlas.h5ad": ("it is an atlas, from which one is built", "build it first: titin build {}/atlas.h5ad -o DATASET"),
    "store.zarr": ("it is an atlas, from which one is built", "build it first: titin build {}/store.zarr -o DATASET"),
    "unnamed": ("it is an atlas, from which one is built", "build it first: titin build {}/unnamed -o DATASET"),
    "notes.txt": ("it is a file, and a dataset is a folder", "give the folder that `titin build` wrote"),
    "many/one/titin.json": ("it is a file of one", "give its folder: {}/many/one"),
    "many": ("it holds 2", "give one of them: {0}/many/one, {0}/many/two"),
    "many/one.ageing": ("it holds results of one", "give the dataset: {}/many/one"),
    "many/two.network": ("it holds results of one", "give the dataset: {}/many/two"),
    "single": ("it holds one", "give {}/single/it"),
    "crowd": ("it holds 5", "give one of them: {0}/crowd/d0, {0}/crowd/d1, {0}/crowd/d2 and 2 more"),
    "downloads": ("it has no titin.json", "build it first: titin build '{}/downloads/my atlas.h5ad' -o DATASET"),
    "many/ones": ("there is nothing", "did you mean {}/many/one?"),
    "nowhere": ("there is nothing", "check the path"),
    "nowhere/at/all": ("there is nothing", "check the path"),
    "empty": ("it has no titin.json", "give the folder that `titin build` wrote"),
}


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """A folder with something under each name of `PLACES`."""
    for name in ("many/one", "many/two", "single/it", *(f"crowd/d{i}" for i in range(5))):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "titin.json").write_text("{}")
    for name in ("many/one.ageing", "many/two.network", "store.zarr", "unnamed", "downloads", "empty"):
        (tmp_path / name).mkdir()
    for name in ("atlas.h5ad", "notes.txt", "unnamed/zarr.json", "downloads/my atlas.h5ad"):
        (tmp_path / name).write_text("")
    (tmp_path / "store.zarr" / ".zgroup").write_text("{}")
    return tmp_path


@pytest.mark.parametrize("name", PLACES)
def test_each_is_told_with_what_to_do(name: str, places: Path) -> None:
    what, hint = PLACES[name]
    with pytest.raises(DatasetError) as error:
        Manifest.read(places / name)
    assert error.value.args[0] == f"{places / name} is not a titin dataset: {what}"
    assert error.value.hint == hint.format(places)


def _taking_a_dataset() -> list[str]:
    context, found = click.Context(cli), []
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        inner = command.commands if isinstance(command, click.Group) else {"": command}
        found += [f"{name} {own}".strip() for own, one in inner.items()
                  if any(argument.name == "dataset" for argument in one.params)]  # fmt: skip
    return found


@pytest.mark.parametrize("command", _taking_a_dataset())
@pytest.mark.parametrize("name", ["atlas.h5ad", "many"])
def test_every_command_tells_them_apart(
    command: str, name: str, places: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(places)
    more = {"export": ["--to", "mtx"], "publish": ["me/it"], "predict": ["--clock", "notes.txt"]}.get(command, [])
    before = sorted(places.rglob("*"))
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), name, *more])
    said = capsys.readouterr().err.replace(f"{places}/", "").splitlines()
    assert ended.value.code == 2
    what, hint = PLACES[name]
    if command != "predict":  # which looks at the clock first
        told = hint.replace("{0}", "{}").replace("{}/", "")
        assert said == [f"error: {name} is not a titin dataset: {what}", f"  {told}"]
    assert sorted(places.rglob("*")) == before


def test_a_folder_that_may_not_be_read_is_no_bug(places: Path) -> None:
    shutil.rmtree(places / "many")
    (places / "many").symlink_to(places / "many")  # a link to itself: nothing can be looked at
    with pytest.raises(DatasetError):
        Manifest.read(places / "many")
