"""docs/validation.md lists the checks and mutations that there are."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_lists_every_check_and_mutation() -> None:
    page = runpy.run_path(str(DOCS / "make_mutation_table.py"))["page"]()
    assert (DOCS / "validation.md").read_text("utf-8") == page, "run python docs/make_mutation_table.py"
    assert page.count("\n| `") > 80
