"""Self-contained HTML pages: one file, light and dark, fit to print, nothing fetched from anywhere."""

import base64
from collections.abc import Iterable, Sequence
from html import escape as escape_text

_STYLE = """
:root { --ink: #1c1f24; --soft: #5b6470; --line: #d9dee5; --paper: #fff; --shade: #f4f6f8; --link: #0b5cad;
  --pass: #1a7f4b; --error: #b42318; --warning: #9a6700; --note: #4b5b9c; --skipped: #6b7280; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #a3adba; --line: #353c47; --paper: #14171c;
  --shade: #1d2229; --link: #6cb2ff; --pass: #4ac27f; --error: #ff8a80; --warning: #e3b341; --note: #a5b4fc;
  --skipped: #9ca3af; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 2rem 1.25rem 4rem; color: var(--ink); background: var(--paper);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem; } h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; }
p.subtitle { color: var(--soft); margin: 0 0 1.5rem; } a { color: var(--link); }
code { font: .875em/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .7rem; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; margin: 1.5rem 0; }
.tile { background: var(--shade); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; }
.tile b { display: block; font-size: 1.45rem; font-variant-numeric: tabular-nums; } .tile span { color: var(--soft); }
.pass { color: var(--pass); } .error { color: var(--error); } .warning { color: var(--warning); }
.note { color: var(--note); } .skipped { color: var(--skipped); } .soft { color: var(--soft); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1.25rem; }
figure { margin: 0; break-inside: avoid; } figure img { width: 100%; height: auto; border: 1px solid var(--line);
  border-radius: .375rem; } figcaption { color: var(--soft); font-size: .85rem; }
ul.findings { margin: .25rem 0 0; padding-left: 1.1rem; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
@media print { body { max-width: none; padding: 0; font-size: 10.5pt; } a { color: inherit; text-decoration: none; }
  tr, .tile { break-inside: avoid; } h2 { break-after: avoid; } .scroll { overflow: visible; } }
"""


def escape(text: object) -> str:
    """Text that is shown as it is."""
    return escape_text(str(text), quote=True)


def page(title: str, body: str, *, subtitle: str = "", language: str = "en") -> str:
    """Return a whole page.

    Parameters
    ----------
    title, subtitle
        Plain text.
    body
        HTML between the heading and the footer.
    """
    below = f'<p class="subtitle">{escape(subtitle)}</p>' if subtitle else ""
    return (
        f'<!doctype html>\n<html lang="{escape(language)}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<header><h1>{escape(title)}</h1>"
        f"{below}</header>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = ()) -> str:
    """Return a table that scrolls by itself where it is wide.

    Parameters
    ----------
    header
        Plain text.
    rows
        Cells as HTML.
    numbers
        Positions of the columns that are numbers.
    """
    kinds = [' class="number"' if i in numbers else "" for i in range(len(header))]
    head = "".join(f"<th{kind}>{escape(name)}</th>" for name, kind in zip(header, kinds, strict=True))
    lines = "\n".join(
        f"<tr>{''.join(f'<td{kind}>{cell}</td>' for cell, kind in zip(row, kinds, strict=True))}</tr>" for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{lines}\n</tbody></table></div>'


def tiles(facts: Iterable[tuple[str, str]]) -> str:
    """Return large numbers (plain text) with a word below each."""
    shown = "".join(f'<div class="tile"><b>{escape(n)}</b><span>{escape(word)}</span></div>' for n, word in facts)
    return f'<div class="tiles">{shown}</div>'


def figure(title: str, image: bytes, alt: str, *, kind: str = "image/png") -> str:
    """Return an image that lies in the page itself, with its title below."""
    data = base64.b64encode(image).decode("ascii")
    return (f'<figure><img src="data:{kind};base64,{data}" alt="{escape(alt)}" loading="lazy">'
            f"<figcaption>{escape(title)}</figcaption></figure>")  # fmt: skip


def figures(shown: Iterable[str]) -> str:
    """Return figures beside each other, as many as there is room for."""
    return f'<div class="figures">{"".join(shown)}</div>'
