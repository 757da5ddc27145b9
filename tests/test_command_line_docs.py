"""docs/command-line.md says what --help says."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def test_command_line_page_is_what_help_says():
    page = runpy.run_path(str(DOCS / "make_command_line.py"))["page"]()
    assert (DOCS / "command-line.md").read_text("utf-8") == page, "run python docs/make_command_line.py"
