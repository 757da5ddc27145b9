"""The figures of an analysis, those of its section in the report, as PNG files."""

from pathlib import Path

from titin.ageing.analysis import Analysis, Findings, Inputs
from titin.dataset.swap import whole
from titin.plot.style import save_figure
from titin.section import Figure, Section

_LONGEST = 80  # letters of a name


def write_figures(analysis: Analysis, findings: Findings, inputs: Inputs, folder: Path) -> tuple[list[Path], str]:
    """Draw what the report shows of findings, and write it into a folder, which is replaced.

    Parameters
    ----------
    analysis, findings, inputs
        What was run, what it gave, and of what.
    folder
        Whole or not at all.

    Returns
    -------
    list of Path, str
        The pictures in their order, and why there are none.
    """
    section = Section(analysis.anchor, analysis.title)
    section.attempt(lambda: analysis.show(section, findings, inputs))
    figures = [block for block in section.blocks if isinstance(block, Figure)]
    if not figures:
        return [], ", ".join(section.facts.get("missing", [])) or "there is nothing to draw"
    names = [f"{number:02d}_{_plain(figure.name)}.png" for number, figure in enumerate(figures, 1)]
    with whole(folder) as drawn:
        drawn.mkdir()
        for name, figure in zip(names, figures, strict=True):
            save_figure(figure.axes, drawn / name)
    return [folder / name for name in names], ""


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name)[:_LONGEST]
