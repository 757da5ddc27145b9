"""Pages are filled templates: what is put in is shown as text, and nothing is fetched from anywhere."""

import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from titin import html

SOURCE = Path(html.__file__).parent
BLOCKS = [
    ("paragraph", {"text": "{}", "kind": ""}),
    ("heading", {"text": "{}"}),
    ("bullets", {"items": ["{}"], "title": "{}", "folded": True}),
    ("numbers", {"texts": ["{}", "after"], "link": "{}"}),
    ("table", {"head": "{}", "folded": False, "link": "{}", "header": ["{}"], "rows": [["{}"]], "numbers": [0]}),
    ("pictures", [{"title": "{}", "source": "{}", "alt": "{}", "link": "{}", "width": "1", "height": "1"}]),
]


def filled(value: object, text: str) -> object:
    """A block with a text in each of its places."""
    if isinstance(value, str):
        return value.replace("{}", text)
    if isinstance(value, list):
        return [filled(one, text) for one in value]
    if isinstance(value, dict):
        return {name: filled(one, text) for name, one in value.items()}
    return value


@pytest.mark.parametrize(("kind", "block"), BLOCKS, ids=[kind for kind, _ in BLOCKS])
def test_every_block_of_a_section_shows_text_as_text(kind: str, block: object) -> None:
    page = html.render("section.html", name="one", title="One", blocks=[(kind, filled(block, "\"'><script>&"))])
    assert "<script>" not in page
    assert re.search(r"&#34;&#39;&gt;&lt;script&gt;&amp;", page)


def test_a_section_in_a_page_is_not_escaped_again() -> None:
    section = html.render("section.html", name="one", title="A & B", blocks=[])
    alerts = {"kind": "", "head": "", "lines": [], "more": 0}
    answer = {"title": "<i>", "anchor": "one", "text": "a < b"}
    page = html.render(
        "report.html", title="T", subtitle="S", synthetic="<drawn>", answers=[answer], types=None, genes=None,
        alerts=alerts, sections=[], shown=[section], version="1",
    )  # fmt: skip
    assert '<section id="one"><h2>A &amp; B</h2>' in page
    assert '<a href="#one">&lt;i&gt;</a> a &lt; b' in page
    assert "&lt;drawn&gt;" in page
    assert "<script" not in page


def test_what_is_left_out_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="title"):
        html.render("section.html", name="one", blocks=[])


def test_a_data_url_holds_the_file() -> None:
    assert html.data_url(b"\x00\xff", "image/gif") == "data:image/gif;base64,AP8="


def test_templates_fetch_nothing_and_python_writes_no_tags() -> None:
    for path in (SOURCE / "templates").iterdir():
        loaded = r'https?://|@import|url\(|<script[^>]*src="(?!explorer\.js")|fetch\('
        assert not re.search(loaded, path.read_text("utf-8")), path.name
    examples = re.compile(r"^ *>>> .*\n", re.M)
    written = [str(p) for p in SOURCE.rglob("*.py") if re.search(r"</\w+>", examples.sub("", p.read_text("utf-8")))]
    assert written == []
