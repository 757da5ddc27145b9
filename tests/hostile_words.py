"""A study in which every name is an attack on the place where it will be read, and readers of what titin made of it."""

import contextlib
import csv
import io
import json
import re
import warnings
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

import titin
from titin.cli import main

# each is one for several sinks; "/" cannot stand in keys of HDF5
PAYLOADS = [
    "=cmd|'!A0' <script>owned=1<\\script><svg onload=owned=1>",
    "<img src=x onerror=owned=1>|**b**|`c`",
    "[y](javascript:owned=1) ![z](http:evil.test)",
    "\x1b]52;c;eA==\x07\x1b[2J\x9b2J\u202e",
    "@SUM(1)\r\nerror: all is well\n# head\n---\n- x: !!python",
    "_$\\frac{$ $x^$ %s {0} {{7*7}} {% x %}",
    "\"'><iframe src=javascript:owned=1> \u2028 \U000e0041",
    "no: &a *a [red]r[\\red] `` ``` ~~s~~ </style></script>",
]
NOT_SEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
SGR = re.compile(r"\x1b\[[0-9;]*m")
TAGS = {
    "html", "head", "meta", "title", "style", "body", "header", "main", "footer", "nav", "section", "h1", "h2", "h3",
    "p", "a", "ul", "li", "div", "span", "b", "br", "code", "table", "thead", "tbody", "tr", "th", "td", "figure",
    "img", "figcaption", "details", "summary", "label", "input", "script",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "name", "content", "class", "id", "href", "src", "alt", "width", "height", "style", "role",
    "loading", "type", "for", "hidden", "autocomplete", "open",
}  # fmt: skip


ROLES = ("donor", "sample", "age", "sex", "protocol", "chemistry", "cell-type")
FOLDER = "javascript:owned=1 <img src=x onerror=owned=1>$"  # of the dataset


class Names:
    """Names, one payload after another, no two the same."""

    def __init__(self, start: int = 0) -> None:
        self._made = start

    def __call__(self, kind: str, *, key: bool = False) -> str:
        self._made += 1
        payload = PAYLOADS[self._made % len(PAYLOADS)]
        name = f"{payload} {kind}{self._made}"
        return name.replace("/", "_") if key else name


def hostile_study(start: int = 0, n_cells: int = 1440, n_genes: int = 60) -> tuple[ad.AnnData, dict[str, str]]:
    """A study of twelve donors, and its columns by role; ``start`` chooses which payload stands where."""
    name, random = Names(start), np.random.default_rng(start)
    cell = np.arange(n_cells)
    roles = {role: name(role, key=True) for role in ROLES}
    donors, types = [name("donor") for _ in range(12)], [name("type") for _ in range(3)]
    sexes, protocols = [name("F"), name("M")], [f"{name('cells')} cell", f"{name('nuclei')} nuclei"]
    donor, kind = cell % 12, (cell // 12) % 3
    obs = pd.DataFrame({
        roles["donor"]: np.array(donors, object)[donor],
        roles["sample"]: np.array([name("sample") for _ in range(12)], object)[donor],
        roles["age"]: 20.0 + 5 * donor,
        roles["sex"]: np.array(sexes, object)[donor % 2],
        roles["protocol"]: np.array(protocols, object)[(cell // 36) % 2],
        roles["chemistry"]: np.array([name("v2"), name("v3")], object)[donor // 6],
        roles["cell-type"]: np.array(types, object)[kind],
        name("other", key=True): np.array([name("x"), None, name("y")], object)[cell % 3],
        name("number", key=True): random.normal(size=n_cells),
    }, index=[f"{name('cell')}{i}" for i in cell])  # fmt: skip
    for column in obs:
        if obs[column].dtype == object:
            obs[column] = pd.Categorical(obs[column])
    genes = [name("gene") for _ in range(n_genes)]
    rates = random.gamma(1.0, 1.0, (3, n_genes))[kind] * (1 + 0.02 * obs[roles["age"]].to_numpy())[:, None]
    var = pd.DataFrame({name("note", key=True): [name("n") for _ in genes]}, index=genes)
    study = ad.AnnData(sp.csr_matrix(random.poisson(rates).astype(np.float32)), obs=obs, var=var)
    study.obsm[f"X_{name('umap', key=True)}"] = random.normal(size=(n_cells, 2)) + 5 * kind[:, None]
    study.uns = {
        "title": name("title"), "citation": name("citation"), "default_embedding": name("embedding"),
        name("key", key=True): {name("inner", key=True): name("value")},
        "demo": {"synthetic": True, "about": name("about")},
        f"{roles['cell-type']}_colors": np.array(["#a6212c\"><b>", "red;x:url(y)", "expression(1)"]),
    }  # fmt: skip
    return study, roles


_SEARCH = Path(titin.__file__).with_name("templates") / "gene_search.js"


class Page(HTMLParser):
    """What a page holds that no template of ours has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.foreign: list[str] = []
        self._script: str | None = None
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.foreign += [tag] * (tag not in TAGS)
        self._script = dict(attrs).get("type") or "code" if tag == "script" else None
        for name, value in attrs:
            self.foreign += [f"{tag} {name}"] * (name not in ATTRIBUTES)
            if name in ("href", "src"):
                allowed = re.match(r"#[\w-]+$|data:image/png;base64,|[\w.%-]+/[\w.]+\.csv$", value or "")
                self.foreign += [f"{tag} {name}={value}"] * (not allowed)
            if name == "style":
                self.foreign += [f"{tag} {name}={value}"] * (not re.fullmatch(r"--natural:\d+px", value or ""))

    def handle_endtag(self, tag: str) -> None:
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script == "application/json":
            self.text += str(json.loads(data))
        elif self._script is not None:
            self.foreign += ["script"] * (data.strip() != _SEARCH.read_text("utf-8").strip())
        else:
            self.text += data

    def handle_comment(self, data: str) -> None:
        self.foreign.append(f"comment {data}")

    def unknown_decl(self, data: str) -> None:
        self.foreign.append(f"declaration {data}")


class _Outline(HTMLParser):
    """Tags of a page with their attributes, but for what stands in meta tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, [(name, None if name == "content" else value) for name, value in attrs]))

    def handle_comment(self, data: str) -> None:
        self.tags.append((f"comment {data}", []))


def outline(text: str) -> list[tuple[str, list[tuple[str, str | None]]]]:
    """What a page consists of: the same for every dataset where its names are text and no more."""
    return _Outline(text).tags


def formulas(path: Path) -> Iterator[str]:
    """Cells of a CSV that a spreadsheet would compute."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert len({len(row) for row in rows}) <= 1, f"{path}: rows of different lengths"
    for row in rows:
        for cell in row:
            if cell[:1] in tuple("=+-@\t\r\n") and not re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?|-?inf", cell):
                yield cell


def run(*arguments: str) -> tuple[int, str]:
    """Run a command in this process; its exit code, and all that it printed, in which nothing may be hidden."""
    said, code = io.StringIO(), 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main([*arguments])
        except SystemExit as done:
            code = int(done.code or 0)
    text = said.getvalue()
    hidden = NOT_SEEN.search(text)
    assert hidden is None, (arguments, text[max(0, hidden.start() - 80) : hidden.end() + 20])
    assert not re.search(r"^error: all is well", text, flags=re.MULTILINE), "a name has made a line of its own"
    assert "Traceback" not in text, text
    assert code in (0, 1, 2), text
    return code, text


def build(start: int) -> None:
    """Write a hostile study into the working directory and build `FOLDER` of it."""
    study, roles = hostile_study(start)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anndata has an opinion on some names
        study.write_h5ad("study <b>$x$.h5ad")
    options = [part for role, column in roles.items() for part in (f"--{role}", column)]
    code, text = run("build", "study <b>$x$.h5ad", "-o", FOLDER, "--tissue", "muscle", "--technology", "10x", *options)
    assert code == 0, text
