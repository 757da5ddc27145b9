"""Write the table of analyses in ``docs/ageing.md`` from their records."""

from pathlib import Path

from titin.ageing import ANALYSES, Analysis

PAGE = Path(__file__).resolve().parent / "ageing.md"
BEGIN, END = "<!-- analyses: written by make_analysis_table.py -->", "<!-- end of analyses -->"
NOUNS = {"donor": "donors", "age": "ages", "cell_type": "cell types", "counts": "counts"}


def page() -> str:
    """Return the page with the table as the records have it now."""
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    head = ["| command | what it answers | needs | of the preset | result, and its tables |", "|---|---|---|---|---|"]
    lines = "\n".join([*head, *map(_row, ANALYSES)])
    return f"{before}{BEGIN}\n\n{lines}\n\n{END}{rest.partition(END)[2]}"


def _row(analysis: Analysis) -> str:
    needs = ", ".join(NOUNS[need] for need in analysis.needs)
    preset = f"`[{analysis.preset}]`" if analysis.preset else ""
    tables = ", ".join(f"`{name}`" for name in analysis.result.table_names())
    result = f"`{analysis.result.__name__}`: {tables}"
    return f"| `titin age {analysis.name}` | {analysis.summary.rstrip('.')} | {needs} | {preset} | {result} |"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
