"""Write the table of mutations in ``docs/validation.md`` from the tests that make them."""

import sys
from itertools import groupby
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE / "validation.md"
BEGIN, END = "<!-- mutations: written by make_mutation_table.py -->", "<!-- end of mutations -->"
CHECKS_BEGIN, CHECKS_END = "<!-- checks: written by make_mutation_table.py -->", "<!-- end of checks -->"


def page() -> str:
    """Return the page with both tables as the code has them now."""
    text = PAGE.read_text("utf-8")
    text = _replace(text, CHECKS_BEGIN, CHECKS_END, _checks())
    return _replace(text, BEGIN, END, _mutations())


def _replace(text: str, begin: str, end: str, table: str) -> str:
    """Put a table between two marks."""
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n\n{table}\n\n{end}{rest.partition(end)[2]}"


def _checks() -> str:
    from titin.check import load_checks

    lines = ["| check | what holds when it passes | severity | level |", "|---|---|---|---|"]
    lines += [f"| `{c.name}` | {c.title.rstrip('.')} | {c.severity} | {c.level} |" for c in load_checks().values()]
    return "\n".join(lines)


def _mutations() -> str:
    sys.path.insert(0, str(HERE.parent / "tests" / "check"))
    try:
        from all_mutations import all_mutations

        found = all_mutations()
    finally:
        sys.path.pop(0)
    checks = list(dict.fromkeys(mutation.check for mutation in found))
    found.sort(key=lambda mutation: checks.index(mutation.check))
    lines = [f"{len(found)} corruptions.", "", "| check | corruption |", "|---|---|"]
    for check, own in groupby(found, key=lambda m: m.check):
        lines += [f"| `{check}` | {mutation.name} |" for mutation in own]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
