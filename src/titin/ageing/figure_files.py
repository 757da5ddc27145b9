"""The figures of an analysis, those of its section in the report, as PNG files."""

from collections.abc import Callable
from pathlib import Path

from titin.ageing.analysis import Analysis, Findings, Inputs
from titin.dataset.swap import whole
from titin.plot.style import noted, save_figure, synthetic_note
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
    return write_section_figures(
        lambda section: analysis.show(section, findings, inputs), folder, inputs.atlas.synthetic
    )


def write_section_figures(
    show: Callable[[Section], None], folder: Path, synthetic: str | None
) -> tuple[list[Path], str]:  # fmt: skip
    """Draw the figures of a section and write them into a folder, which is replaced; return as `write_figures`.

    Parameters
    ----------
    show
        Fills the section.
    folder
        Whole or not at all.
    synthetic
        What the source says of data that are made up, which every figure then says.
    """
    section = Section("figures", "Figures")
    with noted(synthetic_note(synthetic)):
        section.attempt(lambda: show(section))
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
