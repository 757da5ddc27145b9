"""Markdown read by a CommonMark renderer: a name is shown as it is, and makes no element."""

import html
import re
import string
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from titin import markdown
from titin.markdown import Markdown, bullets, code, escape, link, picture, prose, section, table
from titin.publish.front_matter import _Dumper
from titin.visible import visible

RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
HOSTILE = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))",
    "![x](http://x/y.png)", "**bold**", "_it_", "__init__", "a_b_c", "cell_type_0", "`code`", "``", "a|b",
    "a\\|b", "a\\", "\\", "|", "||", "# head", "#tag", "- item", "-5", "--- ", "---", "===", "=", "+ x", "* x",
    "1. one", "1) one", "12", "> quote", ">", "~~~", "~~x~~", "```", "    indented", "a\nb", "a\n\nb", "\n# x",
    "&lt;b&gt;", "&amp;", "&#x3c;", "AT&T", "<https://x.y>", "<a@b.c>", "[ref]: http://x", "[^1]", "a]b", "[",
    "a <b", "1<2", "x<", "<", "$x$", "$$", "<!-- x -->", "<?php ?>", "<![CDATA[x]]>", "a\x1b[2Jb", "\u202eabc",
    "Größe 脂肪", "10 %", "\"'", "\\(x\\)", "\\<b>", "\\*x\\*", "\\_", "&\\#60;", "\\&lt;", "x\u00a0y", ":---",
    "---|---", "| a | b |", "a  b", "*", "_", "**", "!", "![", "](", "<br/>", "</td>", "(", "-", "+", "=x",
    "\u2028#",
]  # fmt: skip
texts = st.one_of(st.sampled_from(HOSTILE), st.text(string.punctuation + " a1\n", max_size=12), st.text(max_size=8))


def shown(text: str) -> str:
    """A label as a reader sees it: blanks run together, and nothing hidden."""
    return visible(" ".join(text.split()))


def read(source: str) -> tuple[list[str], str]:
    """Elements and text of Markdown as rendered."""
    page = RENDERER.render(source)
    return re.findall(r"<([a-zA-Z!?/][^\s>]*)", page), " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def plain(text: str) -> str:
    """Without blanks, which elements part differently."""
    return "".join(text.split())


def check(source: str, elements: set[str], text: str) -> None:
    found, said = read(source)
    assert {name.strip("/") for name in found} <= elements, source
    assert plain(said) == plain(text), source


@settings(max_examples=60, deadline=None)
@given(texts)
def test_a_name_as_text_wherever_it_stands(text: str) -> None:
    name, label = escape(text), shown(text)
    assert isinstance(name, Markdown)
    check(name, {"p"}, label)
    check(f"before {name} after", {"p"}, f"before {label} after")
    check(f"{name}{name}", {"p"}, label + label)
    check(f"({name})", {"p"}, f"({label})")
    check(f"**{name}x**", {"p", "strong"}, f"{label}x")
    check(bullets([name, f"x {name}"]), {"ul", "li", "p"}, f"{label} x {label}")
    check(section(f"x {name}", f"a\n{name}"), {"h2", "p"}, f"x {label} a {label}")
    check(f"# {name or 'x'}", {"h1"}, label or "x")


@settings(max_examples=60, deadline=None)
@given(texts)
def test_a_name_as_code(text: str) -> None:
    label = shown(text)
    check(code(text), {"p", "code"}, label)
    check(f"of {code(text)}: {code(text)}", {"p", "code"}, f"of {label}: {label}")


@settings(max_examples=60, deadline=None)
@given(texts, texts)
def test_a_name_in_a_table(one: str, two: str) -> None:
    last = (Markdown(f"*{escape('x' + one)}*"), "|r| < 0.1")
    source = table((one, code(two)), [(one, code(two)), (code(one), two), last])
    found, said = read(source)
    assert {name.strip("/") for name in found} <= {"table", "thead", "tbody", "tr", "th", "td", "code", "em"}, source
    assert [found.count(name) for name in ("table", "tr", "th", "td")] == [1, 4, 2, 6], source
    a, b = shown(one), shown(two)
    assert plain(said) == plain(f"{a}{b}{a}{b}{a}{b}x{a}|r| < 0.1"), source


@settings(max_examples=60, deadline=None)
@given(texts)
def test_whatever_is_in_a_fenced_block_stays_there(text: str) -> None:
    tokens = RENDERER.parse(f"{markdown.block('python', f'x {text} x')}\n\nafter")
    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]


@settings(max_examples=60, deadline=None)
@given(texts, st.one_of(texts, st.sampled_from([
    "javascript:alert(1)", " JavaScript:x", "data:text/html,x", "http://x.y/a b",
    "https://x/) [z](javascript:1)", "https://x/<b>", "vbscript:x", "//x", "file:///etc/passwd",
    "mailto:a@b.c", "https://doi.org/10.1038/s43587-024-00613-3", "https://x/\"onx=",
])))  # fmt: skip
def test_links_lead_to_the_web_or_nowhere(name: str, url: str) -> None:
    source = f"see {link(name, url)} here"
    found, said = read(source)
    assert {tag.strip("/") for tag in found} <= {"p", "a"}, source
    assert plain(said) == plain(f"see {shown(name)} here")
    for address in re.findall(r'href="([^"]*)"', RENDERER.render(source)):
        assert re.match(r"https?://|mailto:", html.unescape(address)), source


def test_a_picture_and_an_address_as_they_are() -> None:
    assert picture("preview_X_umap.png", "X umap") == "![X umap](preview_X_umap.png)"
    doi = "https://doi.org/10.1038/s43587-024-00613-3"
    assert link("a study", doi) == f"[a study]({doi})"


@pytest.mark.parametrize("text", [
    "<script>x</script>", "a <b onclick=x>b</b>", "[x](javascript:1)", "[x](  JAVASCRIPT:1)",
    "[x](&#106;avascript:1)", "[x]( <javascript:1>)", "[a]: javascript:1 [a]", "<javascript:x>",
    "![x](data:text/html,x)", "<!-- -->", "[x](\x01javascript:1)",
])  # fmt: skip
def test_what_an_author_writes_has_no_html_and_runs_nothing(text: str) -> None:
    page = RENDERER.render(f"- {prose(text)}")
    assert not re.search(r"<(script|b|!)|=\"\s*(javascript|data)", page, flags=re.I), page


def test_what_an_author_writes_is_markdown() -> None:
    text = "**Bold** and `code`, [a study](https://doi.org/10.1) with p < 0.05; see [here](other.md)"
    assert prose(text) == text.replace("(other.md)", "(./other.md)")


# ---- the block at the head of a card


@settings(deadline=None)
@given(st.one_of(texts, st.sampled_from([
    "no", "y", "null", "~", "1e3", "0x1f", "0o17", "1_000", "12:30:00", "2024-01-01", "---", "a\n---\nb",
    "- a", "a: b", "{a}", "&a *b", "!!python/object:os.system", "\x85", "\u2028", "\ufeff", "# x", "a #b", "%",
    "@", "`", "'\"", ".inf", ".nan", "=",
])))  # fmt: skip
def test_front_matter_reads_back_as_it_was(text: str) -> None:
    document = {"pretty_name": text, "features": [{"name": text, "names": {"0": text}}], text: [text]}
    dumped = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**20)
    written = visible(dumped, keep="\n")
    assert yaml.safe_load(written) == document
    assert "\n---" not in f"\n{written}"


@pytest.mark.parametrize("text", ["1e3", "0o17", "0x1f", "y", "N", ".5", "5.", "-1E+2"])
def test_text_that_another_reader_takes_for_a_number_is_quoted(text: str) -> None:
    written: Any = yaml.dump([text], Dumper=_Dumper)
    assert written == f"- '{text}'\n"
