"""Paths and URLs, however they are written: what is meant is read or written, or it is refused and nothing is made."""

from pathlib import Path
from typing import Any

import pytest

import titin
from titin.cli import main
from titin.dataset.places import find_place
from titin.demo import write_demo_atlas
from titin.errors import TitinError
from titin.files import is_url, local_path
from titin.storage import read_storage_options, translate


@pytest.mark.parametrize(("written", "meant"), [
    ("file:///a/b", "/a/b"), ("file:/a/b", "/a/b"), ("FILE:///a/b", "/a/b"), ("file://localhost/a/b", "/a/b"),
    ("file://a/b", "a/b"), ("file:name", "file:name"), ("a/file:/b", "a/file:/b"), ("/a/s3:/b", "/a/s3:/b"),
    ("a:/b", "a:/b"), ("", "."),
])  # fmt: skip
def test_a_file_url_is_its_path(written: str, meant: str) -> None:
    assert not is_url(written)
    assert local_path(written) == Path(meant)
    if "://" not in written or (meant.startswith("/") and "localhost" not in written):
        assert local_path(Path(written)) == Path(meant)  # a path has lost a slash of it by then


@pytest.mark.parametrize(
    "written", ["s3://bucket/a", "s3:/bucket/a", "gs:/bucket", "https:/host/a", "hf:/datasets/a/b"]
)
def test_what_is_elsewhere_is_no_path(written: str) -> None:
    with pytest.raises(TitinError, match=r"is not on this machine|is neither a path nor a URL") as caught:
        local_path(written)
    assert caught.value.hint


@pytest.mark.parametrize(("url", "said"), [
    ("zip://x::file:///tmp/x.zip", "is a chain of URLs"), ("simplecache::s3://bucket/a", "is a chain of URLs"),
    ("://a", "is no URL"), ("a b://c", "is no URL"), ("s3://", "names no bucket"), ("s3:///a", "names no bucket"),
    ("gs://", "names no bucket"), ("s3:/bucket/a", "is neither a path nor a URL"),
])  # fmt: skip
def test_what_names_no_place_is_neither_opened_nor_written(
    url: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TitinError, match=said):
        find_place(url)
    with pytest.raises(SystemExit) as ended:
        main(["build", "none.h5ad", "-o", url])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_files_are_read_and_written_where_file_urls_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    atlas = write_demo_atlas(tmp_path / "atlas.h5ad", n_cells=100, n_genes=150)
    main(["build", f"file://{atlas}", "-o", f"file://{tmp_path}/dataset", "--no-project", "-q"])
    main(["export", f"file://{tmp_path}/dataset", "--format", "h5ad", "-o", f"file://{tmp_path}/back.h5ad", "-q"])
    titin.subset(tmp_path / "dataset", f"file://{tmp_path}/part", where="sex=F")  # type: ignore[arg-type]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["atlas.h5ad", "back.h5ad", "dataset", "part"]
    assert titin.open(f"file://localhost{tmp_path}/dataset").shape == (100, 150)
    with pytest.raises(SystemExit):
        main(["build", "s3://bucket/atlas.h5ad", "-o", "other"])
    assert "s3://bucket/atlas.h5ad is not on this machine" in capsys.readouterr().err


def test_a_command_does_not_build_what_is_gone_when_it_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["build", str(tmp_path / "none.h5ad"), "-o", "memory://atlas"])
    assert ended.value.code == 2
    assert "would be gone when this command ends" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "said"), [
    ({"anonymous": "perhaps"}, "neither true nor false"), ({"requester_pays": 1}, "neither true nor false"),
    ({"endpoint": ""}, "no address"), ({"endpoint": "host:9000"}, "no address"), ({"endpoint": 3}, "no address"),
    ({"endpoint": {"x": 1}}, "no address"),
])  # fmt: skip
def test_storage_options_of_titin_are_what_they_can_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(TitinError, match=said):
        translate("s3", options)


def test_json_that_is_too_deep_is_no_storage_option() -> None:
    with pytest.raises(TitinError, match="begins like JSON and is none"):
        read_storage_options(['{"a":' * 100_000])
