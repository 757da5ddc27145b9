"""``titin bench``."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from titin.options import (
    choose_progress,
    dataset_argument,
    force_option,
    former_option,
    gmt_option,
    limit_options,
    output_option,
    preset_option,
    print_result,
    seed_option,
    shared_options,
)


@click.command()
@dataset_argument
@click.option("--task", "tasks", multiple=True, metavar="NAME", help="age, cell_type, sex, protocol, obs:COLUMN …")
@click.option("--model", "models", multiple=True, metavar="NAME", help="model, model@features, package.module:NAME.")
@click.option("--split", "splits", multiple=True, metavar="NAME", help="donor_kfold, cells_to_nuclei …; see --list.")
@output_option("DATASET.benchmark")
@click.option("--list", "listing", is_flag=True, help="Say which tasks, models and splits there are, and stop.")
@click.option("--learning-curve", is_flag=True, help="Also train on fewer donors.")
@click.option("--clustering", is_flag=True, help="Also cluster the projections.")
@gmt_option
@click.option("--no-figures", is_flag=True, help="Draw no figures.")
@click.option("--permutations", type=click.IntRange(0), default=1000, show_default=True, help="Of donors, for p.")
@click.option("--class-donors", type=click.IntRange(2), default=3, show_default=True, help="Donors that a class needs.")
@click.option("--class-cells", type=click.IntRange(1), default=20, show_default=True, help="Cells that a class needs.")
@seed_option
@preset_option
@force_option
@partial(limit_options, memory="2GiB")
@shared_options
@former_option("--min-donors", "--class-donors", type=click.IntRange(2))
@former_option("--min-cells", "--class-cells", type=click.IntRange(1))
def bench(
    dataset: Path, output: Path | None, listing: bool, gmt: tuple[Path, ...], no_figures: bool, class_donors: int,
    class_cells: int, threads: int | None, memory: str | None, as_json: bool, quiet: bool,
    **chosen: Any,
) -> None:  # fmt: skip
    """Train models on DATASET and test them on donors they have not seen, beside baselines.

    Writes predictions, scores, leaderboard.md and figures. What is there already, made of the same, is kept; --force
    runs everything anew. The genes of clocks are also held against the sets of --gmt.

    \b
    titin bench dataset
    titin bench dataset --task age --model ridge --model boosting@gene_sets
    titin bench dataset --task cell_type --model mypackage.models:MyModel
    """  # noqa: D301 - \b is click's
    from titin.features import read_gmt
    from titin.learn import Rules, run_benchmark
    from titin.learn.terminal import describe, describe_choices, document, list_choices

    if listing:
        print_result(list_choices(dataset), as_json, describe_choices)
        return
    sets = {name: own.genes for file in gmt for name, own in read_gmt(file).items()}
    done = run_benchmark(
        dataset, output, gene_sets=sets, figures=not no_figures, rules=Rules(class_donors, class_cells),
        threads=threads, memory=memory, progress=choose_progress(quiet), **chosen,
    )  # fmt: skip
    print_result(document(done) if as_json else {}, as_json, lambda _: describe(done))
