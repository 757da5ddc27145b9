"""The explorer as a folder of files."""

import json
import re
from pathlib import Path

import pytest

from demo_dataset import Demo
from titin.dataset.manifest import Manifest
from titin.errors import OutputError, TitinError
from titin.explore import page, write_site
from titin.explore.site import web_address


def test_a_site_holds_the_page_and_the_dataset(mapped: Demo, tmp_path: Path) -> None:
    done = write_site(mapped.dataset, tmp_path / "site")
    assert sorted(path.name for path in done.path.iterdir()) == sorted(
        ["data", "index.html", "results.json", *page.FILES]
    )
    assert Manifest.read(done.path / "data") == mapped.manifest
    for name in mapped.manifest.files:
        assert (done.path / "data" / name).read_bytes() == (mapped.dataset / name).read_bytes()
    text = (done.path / "index.html").read_text("utf-8")
    assert '<meta name="titin-data" content="data/">' in text
    assert "connect-src &#39;self&#39;;" in text
    assert not re.search(r"https?://", text)


def test_a_site_may_read_the_dataset_elsewhere(mapped: Demo, tmp_path: Path) -> None:
    done = write_site(mapped.dataset, tmp_path / "site", data="hf://datasets/someone/muscle")
    assert sorted(path.name for path in done.path.iterdir()) == sorted(["index.html", *page.FILES])
    text = (done.path / "index.html").read_text("utf-8")
    assert 'content="https://huggingface.co/datasets/someone/muscle/resolve/main/"' in text
    assert "connect-src &#39;self&#39; https://huggingface.co https://*.hf.co" in text


@pytest.mark.parametrize(("data", "expected"), [
    ("hf://datasets/a/b", "https://huggingface.co/datasets/a/b/resolve/main/"),
    ("hf://datasets/a/b@0123abc/sub", "https://huggingface.co/datasets/a/b/resolve/0123abc/sub/"),
    ("https://x.example:8443/a b/", "https://x.example:8443/a%20b/"), ("http://127.0.0.1:8000", "http://127.0.0.1:8000/"),
])  # fmt: skip
def test_addresses_as_a_browser_asks_for_them(data: str, expected: str) -> None:
    assert web_address(data) == expected


@pytest.mark.parametrize("data", [
    "javascript:alert(1)", "data:text/html,x", "ftp://x.example/", "s3://bucket/x", "/etc", "https://", "hf://datasets/a",
    "https://x.example'; script-src *", "https://me:word@x.example/", 'https://x.example"/', "hf://datasets/a/b@v 1",
])  # fmt: skip
def test_other_addresses_are_refused(data: str, mapped: Demo, tmp_path: Path) -> None:
    with pytest.raises(TitinError, match="is no address that a browser reads files from"):
        write_site(mapped.dataset, tmp_path / "site", data=data)
    assert list(tmp_path.iterdir()) == []


def test_only_a_site_is_replaced(mapped: Demo, tmp_path: Path) -> None:
    done = write_site(mapped.dataset, tmp_path / "site")
    with pytest.raises(OutputError, match="is there already"):
        write_site(mapped.dataset, done.path)
    write_site(mapped.dataset, done.path, data="https://x.example/", force=True)
    assert not (done.path / "data").exists()
    other = tmp_path / "mine"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    for target in (other, mapped.dataset, mapped.dataset / "site", mapped.dataset.parent):
        with pytest.raises(OutputError):
            write_site(mapped.dataset, target, force=True)
    assert (other / "notes.txt").read_text() == "mine"


def test_hostile_names_stay_text(mapped: Demo, tmp_path: Path) -> None:
    folder = tmp_path / "dataset"
    write_site(mapped.dataset, tmp_path / "site")
    (tmp_path / "site" / "data").rename(folder)
    document = json.loads((folder / "titin.json").read_text("utf-8"))
    text = page.make_index(Manifest(**{**document, "prefix": '"><script>alert(1)</script>'}), "data/", '"><script>')
    assert text.count("<script") == 1
    assert "&gt;&lt;script&gt;alert(1)" in text


def test_without_the_page_it_is_said_how_to_build_it(
    mapped: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "BUNDLE", tmp_path / "none")
    with pytest.raises(TitinError, match="page is not built") as told:
        write_site(mapped.dataset, tmp_path / "site")
    assert "python hatch_build.py" in str(told.value.hint)
