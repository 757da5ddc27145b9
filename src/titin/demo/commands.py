"""``titin demo``."""

import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from titin.options import (
    PATH,
    choose_progress,
    force_option,
    former_option,
    limit_options,
    output_option,
    print_result,
    seed_option,
    shared_options,
)
from titin.visible import visible

if TYPE_CHECKING:
    from titin.builder import BuildReport

_CELLS, _GENES = click.IntRange(200, 200_000), click.IntRange(150, 3200)


@click.command()
@click.argument("folder", type=PATH, required=False, metavar="")  # as --output was given before
@output_option("demo")
@click.option("--n-cells", type=_CELLS, default=3000, show_default=True, help="Cells to make.")
@click.option("--n-genes", type=_GENES, default=3000, show_default=True, help="Genes to make.")
@seed_option
@force_option
@limit_options
@shared_options
@former_option("--cells", "--n-cells", type=_CELLS)
@former_option("--genes", "--n-genes", type=_GENES)
def demo(
    folder: Path | None, output: Path | None, n_cells: int, n_genes: int, seed: int, force: bool, threads: int | None,
    memory: str | None, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Make a small synthetic muscle atlas in a folder (real donors, labels and genes; drawn counts) and build it.

    \b
    titin demo
    titin demo -o tiny --n-cells 500 --n-genes 300
    """  # noqa: D301 - \b is click's
    progress = choose_progress(quiet)
    progress.note(f"making {n_cells:,} cells × {n_genes:,} genes")
    from titin.builder import terminal
    from titin.demo import make_demo
    from titin.demo.atlas import warm_up

    place = output or folder or Path("demo")
    report = make_demo(
        place, n_cells=n_cells, n_genes=n_genes, seed=seed, force=force, threads=threads, memory=memory,
        progress=progress,
    )  # fmt: skip
    warm_up(Path(report.path), progress)
    document = terminal.report_document(report)
    print_result(document, as_json, lambda d: f"{terminal.describe_report(d)}\n\n{_next_steps(place, report)}")


def _next_steps(folder: Path, report: "BuildReport") -> str:
    """Commands to try after the demo, fit to be copied whatever the folder is called."""
    dataset = Path(report.path)
    panel = dataset / report.manifest.layout.expression_panel
    commands = [
        *_activation(),
        ("titin", "info", dataset),
        ("titin", "validate", dataset, "--source", folder / "atlas.h5ad"),
        ("titin", "report", dataset, "-o", folder / "report.html"),
        ("titin", "export", dataset, "--format", "h5ad", "-o", folder / "back.h5ad"),
        ("python", "-c", f"import pandas as pd; print(pd.read_parquet({json.dumps(str(panel), ensure_ascii=False)}))"),
    ]  # fmt: skip
    return "\n".join(["What to try next:", *(f"  {visible(shlex.join(map(str, parts)))}" for parts in commands), ""])


def _activation() -> list[tuple[str, str]]:
    """What makes `titin` and `python` those of this environment, where a shell would not find them."""
    found, own = shutil.which("titin"), Path(sys.executable).parent
    script = own / "activate"
    if (found is not None and Path(found).parent == own) or not script.exists():
        return []
    here = Path.cwd()
    return [(".", os.path.relpath(script) if script.is_relative_to(here) else str(script))]
