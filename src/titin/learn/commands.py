"""``titin bench`` and ``titin predict``."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from titin.options import (
    PATH,
    WHERE,
    WITHOUT_FLAGGED,
    ByHand,
    choose_progress,
    class_options,
    cluster_option,
    dataset_or_url_argument,
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
@dataset_or_url_argument
@click.option("--task", "tasks", multiple=True, metavar="NAME", help="age, cell_type, sex, protocol, obs:COLUMN …")
@click.option(
    "--model", "models", cls=ByHand, multiple=True, metavar="NAME", help="model, model@features, package.module:NAME."
)
@click.option("--split", "splits", multiple=True, metavar="NAME", help="donor_kfold, cells_to_nuclei …; see --list.")
@output_option("DATASET.benchmark")
@click.option("--list", "listing", is_flag=True, help="Say which tasks, models and splits there are, and stop.")
@click.option("--learning-curve", is_flag=True, help="Also train on fewer donors.")
@click.option("--clustering", is_flag=True, help="Also cluster the projections.")
@click.option(
    "--save-clock", cls=ByHand, type=PATH, metavar="FILE", help="Also write the best clock of age, for titin predict."
)
@gmt_option
@click.option("--where", **WHERE)
@click.option("--without-flagged", **WITHOUT_FLAGGED)
@click.option("--no-figures", is_flag=True, help="Draw no figures.")
@click.option("--permutations", type=click.IntRange(0), default=1000, show_default=True, help="Of donors, for p.")
@partial(class_options, cells=20)
@seed_option
@preset_option
@force_option
@cluster_option
@partial(limit_options, memory="2GiB")
@shared_options
@former_option("--min-donors", "--class-donors", type=click.IntRange(2))
@former_option("--min-cells", "--class-cells", type=click.IntRange(1))
def bench(
    dataset: Path | str, output: Path | None, listing: bool, gmt: tuple[Path, ...], no_figures: bool, class_donors: int,
    class_cells: int, where: tuple[str, ...], without_flagged: bool, threads: int | None, memory: str | None,
    as_json: bool, quiet: bool, **chosen: Any,
) -> None:  # fmt: skip
    """Train models on DATASET and test them on donors they have not seen, beside baselines.

    Writes predictions, scores, leaderboard.md and figures. What is there already, made of the same, is kept; --force
    runs everything anew. The genes of clocks are also held against the sets of --gmt. What cannot be evaluated is said;
    if a model raises an error, it is told with the results of the others, and the exit code is 1.

    \b
    titin bench dataset
    titin bench dataset --task age --model ridge --model boosting@gene_sets
    titin bench dataset --task cell_type --model mypackage.models:MyModel
    titin bench dataset --task age --model ridge_by_type --save-clock muscle.clock
    """  # noqa: D301 - \b is click's
    progress = choose_progress(quiet)
    from titin.features import read_gmt
    from titin.learn import Rules, run_benchmark
    from titin.learn.terminal import describe, describe_choices, document, list_choices
    from titin.study.flagged import WITHOUT_FLAGGED as UNFLAGGED

    if listing:
        print_result(list_choices(dataset), as_json, describe_choices)
        return
    sets = {name: own.genes for file in gmt for name, own in read_gmt(file).items()}
    done = run_benchmark(
        dataset, output, gene_sets=sets, figures=not no_figures, rules=Rules(class_donors, class_cells),
        where=[*where, *([UNFLAGGED] if without_flagged else [])], threads=threads, memory=memory, progress=progress,
        **chosen,
    )  # fmt: skip
    print_result(document(done) if as_json else {}, as_json, lambda _: describe(done))
    if done.crashed:
        click.get_current_context().exit(1)


@click.command()
@dataset_or_url_argument
@click.option("--clock", cls=ByHand, type=PATH, required=True, metavar="FILE", help="What bench --save-clock wrote.")
@click.option("--coverage", type=click.FloatRange(0.5, 0.999), default=0.95, show_default=True, help="Of intervals.")
@output_option("nothing is written")
@click.option("--where", **WHERE)
@force_option
@preset_option
@partial(limit_options, memory="2GiB")
@shared_options
def predict(
    dataset: Path | str, clock: Path, coverage: float, output: Path | None, where: tuple[str, ...], force: bool,
    preset: str | None,
    threads: int | None, memory: str | None, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Tell the age of the donors of DATASET, and of their cells of each type, by a clock of another dataset.

    The table goes to -o, .parquet or .csv, with that of types and a JSON beside it.

    Each age has an interval, by the errors that the clock made on donors that it was not trained on. Where the ages
    are known, so is age acceleration: the difference, and the residual of predicted on true age. Genes that are
    missing, and donors with too few cells, are told.

    \b
    titin bench one/dataset --task age --model ridge_by_type --save-clock muscle.clock
    titin predict other/dataset --clock muscle.clock -o ages.csv
    """  # noqa: D301 - \b is click's
    progress = choose_progress(quiet)
    from titin.atlas import open_atlas
    from titin.learn import Clock
    from titin.learn.clock_ages import ClockAges, describe, document
    from titin.resources import make_resources
    from titin.results import refuse_existing

    loaded = Clock.load(clock)
    if output is not None and not force:
        refuse_existing(ClockAges.files(output))
    threads = make_resources(threads).threads
    atlas = open_atlas(dataset, memory=memory or "2GiB", threads=threads, preset=preset)
    ages = loaded.predict(atlas, coverage=coverage, where=where, threads=threads, progress=progress)
    written = [] if output is None else ages.write(output, force=force)
    print_result(document(ages, [str(file) for file in written]), as_json, describe)
