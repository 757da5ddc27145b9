"""Every command on studies whose every name is an attack: none runs, forges, hides or computes anything."""

import contextlib
import html
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml
from markdown_it import MarkdownIt

from hostile_words import FOLDER, NOT_SEEN, PAYLOADS, SGR, Page, build, formulas, outline, run
from small_clock import write_small_clock
from titin.explore.page import make_index
from titin.markdown import escape

RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
MARKS = {"p", "h1", "h2", "h3", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "code", "pre", "em", "strong",
         "img", "blockquote", "a", "hr"}  # fmt: skip
# the page for a static host, with and without what other commands have found
EXPLORERS = [outline(make_index(SimpleNamespace(prefix="a"), "b", "c", results=found)) for found in ("", "d")]
FEW = [["info"], ["info", "--json"], ["card"], ["age", "composition", "--format", "csv"]]
ALL = [
    ["info"], ["info", "--json"], ["roles"], ["roles", "--chemistry", "none"], ["embed", "pca", "--force"],
    ["diff", FOLDER], ["validate", "--source", "study <b>$x$.h5ad"],
    ["card", "--force", "--license", "cc-by-4.0"], ["publish", "me/study", "--dry-run"],
    *(["age", name, "--format", "csv"] for name in ("de", "composition", "variance")),
    ["age", "programmes", "--format", "csv", "--gmt", "sets.gmt"],
    ["bench", "--list"], ["bench", "--permutations", "5", "--model", "mean", "--model", "pls", "--clustering"],
    ["predict", "--clock", "mine.clock", "-o", "ages.csv"],
    ["annotate", "-o", "labels.csv"], ["validate"],
    ["network", "--network", "edges.parquet", "--min-targets", "1", "--bootstraps", "1", "--evaluate",
     "--figures"],
    ["report"], ["site"], ["subset", "-o", "part"],
    *(["export", "--format", form, "-o", f"out.{form}"] for form in ("h5ad", "h5mu", "mtx")),
    ["export", "--format", "cellxgene", "--terms", "terms.toml", "-o", "portal.h5ad"],
]  # fmt: skip


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    """An empty working directory."""
    with contextlib.chdir(tmp_path):
        yield tmp_path


def try_all(start: int, commands: list[list[str]]) -> None:
    """Build, run commands, and read all that they wrote."""
    build(start)
    genes = json.loads(Path(FOLDER, "titin.json").read_text("utf-8"))["panel"]["genes"]
    Path("sets.gmt").write_text("".join(
        f"{name} set\tnote\t{chr(9).join(g for g in genes if not set(g) & set(chr(9) + chr(10) + chr(13)))}\n"
        for name in PAYLOADS if not set(name) & set("\t\r\n\u2028\x85")
    ), "utf-8")  # fmt: skip
    write_small_clock(Path("mine.clock"), list(dict.fromkeys(genes)))
    edges = pd.DataFrame([(source, target) for source in PAYLOADS for target in dict.fromkeys(genes)])
    edges.set_axis(["source", "target"], axis=1).to_parquet("edges.parquet")
    for words in commands:
        head = 2 if words[0] == "age" else 1
        run(*words[:head], FOLDER, *words[head:])
    read_all(Path())


def read_all(folder: Path) -> None:
    """Read pages, Markdown, CSV and JSON as those who open them do."""
    for path in sorted(folder.rglob("*.html")):
        text = path.read_text("utf-8")
        if (path.parent / "explorer.js").exists():
            assert outline(text) in EXPLORERS, path
        else:
            assert Page(text).foreign == [], path
        assert NOT_SEEN.search(text) is None, path
    for path in folder.rglob("*.md"):
        read_markdown(path)
    for path in folder.rglob("*.csv"):
        assert list(formulas(path)) == [], path
    for path in folder.rglob("croissant.json"):
        text = path.read_text("utf-8")
        assert json.loads(text)
        assert not re.search(r"</|<!--", text)
        assert NOT_SEEN.search(text) is None


def read_markdown(path: Path) -> None:
    text = path.read_text("utf-8")
    assert NOT_SEEN.search(text) is None, path
    if text.startswith("---\n"):
        matter, text = text[4:].split("\n---\n", 1)
        assert isinstance(yaml.safe_load(matter)["pretty_name"], str)
    page = RENDERER.render(text)
    foreign = set(re.findall(r"</?([a-zA-Z!?][^\s>/]*)", page)) - MARKS
    assert foreign == set(), path
    for address in re.findall(r'(?:href|src)="([^"]*)"', page):
        assert re.match(r"https?://(?!evil)|preview_|#[a-z-]+$", html.unescape(address)), address


def test_no_name_does_anything(here: Path) -> None:
    try_all(0, FEW)
    card = Path(FOLDER, "README.md").read_text("utf-8")
    manifest = json.loads(Path(FOLDER, "titin.json").read_text("utf-8"))
    assert any(escape(name) in card for name in manifest["obsm"])


@pytest.mark.parametrize(
    "start", [pytest.param(n, marks=getattr(pytest.mark, "slow" if n < 3 else "long")) for n in range(1, len(PAYLOADS))]
)
def test_no_name_does_anything_in_any_command(here: Path, start: int) -> None:
    try_all(start, ALL)


@pytest.mark.slow
@pytest.mark.parametrize("words", [["validate", "--level", "quick", "--no-report"], ["info"], ["age", "composition"]])
def test_on_a_terminal(here: Path, words: list[str]) -> None:
    build(4)
    head = 2 if words[0] == "age" else 1
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "titin", *words[:head], FOLDER, *words[head:]], stdout=follower, stderr=follower,
        env={**os.environ, "TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(follower)
    told = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while piece := os.read(leader, 65_536):
            told += piece
    os.close(leader)
    process.wait(60)
    # bars hide and move the cursor
    text = re.sub(r"\x1b\[(\?25[lh]|2K|1A|\d*[ABCDGK])", "", SGR.sub("", told.decode()))
    assert NOT_SEEN.search(text.replace("\r", "")) is None
    assert len(text) > 100
