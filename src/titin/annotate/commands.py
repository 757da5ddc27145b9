"""``titin annotate``."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from titin.errors import TitinError
from titin.files import is_url
from titin.options import (
    LEVEL,
    PATH,
    ByHand,
    choose_progress,
    class_options,
    cluster_option,
    dataset_or_url_argument,
    force_option,
    limit_options,
    output_option,
    preset_option,
    print_result,
    seed_option,
    shared_options,
)

if TYPE_CHECKING:
    from titin.atlas import Atlas

Told = tuple[dict[str, Any], Callable[[Any], str]]  # a document, and what makes words of it
_OF_CHECKS = ("folds", "class_donors", "class_cells")
_OF_MODELS = ("vote", "assigned_from")


@click.command()
@dataset_or_url_argument
@click.option("--cell-type-level", show_default="every; of a model the coarsest", **LEVEL)
@click.option("--folds", type=click.IntRange(2), metavar="N", show_default="each donor; ten of more than 20",
              help="Groups of donors that are held out together.")  # fmt: skip
@partial(class_options, cells=10)
@click.option(
    "--model", cls=ByHand, metavar="DATASET|FILE",
    help="Label the cells by a model of another dataset, or by what --save-model wrote.",
)  # fmt: skip
@click.option(
    "--celltypist", cls=ByHand, type=PATH, metavar="FILE",
    help="Label the cells by a model of CellTypist's (.pkl), which is read and not run.",
)  # fmt: skip
@click.option("--vote", metavar="COLUMN", help="With a model: clusters in obs that vote for one label each.")
@click.option(
    "--assigned-from", type=click.FloatRange(0, 1), default=0.5, show_default=True, metavar="P",
    help="With a model: probability below which a cell is Unassigned.",
)  # fmt: skip
@click.option(
    "--save-model", cls=ByHand, type=PATH, metavar="FILE.npz", help="Train on all donors and write the model, no more."
)
@output_option("the check goes into DATASET, labels nowhere")
@seed_option
@force_option
@preset_option
@cluster_option
@partial(limit_options, memory="2GiB")
@shared_options
def annotate(
    dataset: Path | str, output: Path | None, cell_type_level: str | None, folds: int | None, class_donors: int,
    class_cells: int, model: str | None, celltypist: Path | None, vote: str | None, assigned_from: float,
    save_model: Path | None, seed: int, force: bool, preset: str | None, threads: int | None, memory: str | None,
    as_json: bool, quiet: bool, cluster: str | None,
) -> None:  # fmt: skip
    """Check the labels of DATASET on donors that a model has not seen, or label it by a model of another.

    The check says which labels to look at again, and how well each type holds; its table of cells goes into the
    dataset, and with -o (.parquet or .csv) all tables there. With --model or --celltypist the labels go to -o.

    \b
    titin annotate dataset
    titin annotate dataset --cell-type-level 0 -o labels/check.csv
    titin annotate dataset --model other/dataset -o labels.csv
    titin annotate dataset --celltypist Immune_All_Low.pkl --vote leiden
    """  # noqa: D301 - \b is click's
    _refuse_contradictions(model, celltypist, save_model)
    progress = choose_progress(quiet)
    from titin.atlas import open_atlas

    if cluster is not None and save_model is not None:
        progress.note("a model of all donors is trained in threads of this machine, not on the cluster")
        cluster = None
    atlas = open_atlas(dataset, memory=memory or "2GiB", threads=threads, preset=preset, cluster=cluster)
    common: dict[str, Any] = {"threads": atlas.reader.resources.threads, "progress": progress}
    trained: dict[str, Any] = {"cell_type_level": cell_type_level, "seed": seed, **common}
    if save_model is not None:
        told, words = _train(atlas, save_model, force, {"min_cells": class_cells, **trained})
    elif model is not None or celltypist is not None:
        source = {"model": model, "celltypist": celltypist, "memory": memory or "2GiB", **trained}
        told, words = _label(atlas, source, output, force, {"vote": vote, "assigned_from": assigned_from, **common})
    else:
        rules = {"folds": folds, "min_donors": class_donors, "min_cells": class_cells, **trained}
        told, words = _check(atlas, not is_url(dataset), output, force, rules)
    print_result(told, as_json, words)


def _refuse_contradictions(model: str | None, celltypist: Path | None, save_model: Path | None) -> None:
    """Refuse options that ask for two things at once, or for nothing."""
    asked = [name for name, value in (("--model", model), ("--celltypist", celltypist), ("--save-model", save_model))
             if value is not None]  # fmt: skip
    if len(asked) > 1:
        raise TitinError(f"{' and '.join(asked)} ask for different things", "give one of them")
    context = click.get_current_context()
    given = {name for name in (*_OF_CHECKS, *_OF_MODELS)
             if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}  # fmt: skip
    labels = model is not None or celltypist is not None
    useless = given & set(_OF_CHECKS if labels else () if asked == ["--save-model"] else _OF_MODELS)
    if useless:
        name = f"--{min(useless).replace('_', '-')}"
        what = "is of a check of labels, and a model is applied" if labels else "is of a model that is applied"
        raise TitinError(f"{name} {what}", "leave it out" if labels else "give --model or --celltypist")


def _check(atlas: "Atlas", inside: bool, output: Path | None, force: bool, rules: dict[str, Any]) -> Told:
    """Check the labels, and write what was found."""
    from titin.annotate import LabelCheck, check_labels, write_label_check
    from titin.annotate.terminal import check_document, describe_check
    from titin.publish import refresh_card
    from titin.results import refuse_existing

    if not inside and output is None:
        raise TitinError("a check of labels goes into the dataset, and this one lies elsewhere",
                         "say with -o where to write it")  # fmt: skip
    if not force:
        refuse_existing([atlas.folder / atlas.layout.label_check] if inside else [])
        refuse_existing(LabelCheck.files(output) if output is not None else [])
    check = check_labels(atlas, **rules)
    files = [write_label_check(atlas.folder, check, last=refresh_card)] if inside else []
    files += check.write(output, force=force) if output is not None else []
    return check_document(check, files), describe_check


def _label(atlas: "Atlas", source: dict[str, Any], output: Path | None, force: bool, options: dict[str, Any]) -> Told:
    """Label the cells by a model, and write the labels where they are wanted."""
    from titin.annotate import CellLabels, label_cells, read_celltypist
    from titin.annotate.terminal import describe_labels, labels_document
    from titin.annotate.transfer import obtain_model
    from titin.results import refuse_existing

    if output is not None and not force:
        refuse_existing(CellLabels.files(output))
    path, other = source.pop("celltypist"), source.pop("model")
    model = read_celltypist(path) if path is not None else obtain_model(other, **source)
    labels = label_cells(atlas, model, **options)
    files = [] if output is None else labels.write(output, force=force)
    return labels_document(labels, files), describe_labels


def _train(atlas: "Atlas", path: Path, force: bool, options: dict[str, Any]) -> Told:
    """Train a model on all donors and write it."""
    from titin.annotate import train_label_model, write_label_model
    from titin.annotate.model_file import check_ending
    from titin.annotate.terminal import describe_model, model_document
    from titin.results import refuse_existing

    check_ending(path)
    if not force:
        refuse_existing([path])
    model = train_label_model(atlas, **options)
    write_label_model(model, path, force=force)
    return model_document(model, path), describe_model
