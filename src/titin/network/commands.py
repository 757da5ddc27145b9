"""``titin network``."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from titin.analysis_options import (
    CELL_TYPES,
    FORMULA,
    LEVEL,
    MIN_CELLS,
    MIN_DONORS,
    UNFLAGGED,
    WHERE,
    method_option,
)
from titin.errors import TitinError
from titin.extras import check_installed
from titin.files import TABLE_FORMATS
from titin.options import (
    PATH,
    ByHand,
    choose_progress,
    cluster_option,
    dataset_or_url_argument,
    force_option,
    format_option,
    limit_options,
    network_option,
    output_option,
    preset_option,
    print_result,
    read_genes,
    resume_option,
    seed_option,
    shared_options,
)

if TYPE_CHECKING:
    from titin.ageing.analysis import Inputs

_OF_ANALYSES = (LEVEL, FORMULA, MIN_CELLS, MIN_DONORS, method_option("ulm", "weighted_sum", "consensus", default="ulm"),
                WHERE, UNFLAGGED, CELL_TYPES)  # fmt: skip
_OF_EDGES = ("checkpoint", "regulators", "edges", "bootstraps", "evaluate", "reference", "resume", "seed")
_OF_ACTIVITIES = ("method", "formula", "per_cell")


@click.command()
@dataset_or_url_argument
@network_option
@click.option("--compare", type=click.Choice(["young_old", "age"]), default="young_old", show_default=True,
              help="Old against young donors, or a change a decade.")  # fmt: skip
@click.option("--min-targets", type=click.IntRange(1), default=5, show_default=True,
              help="Targets that a regulator must have.")  # fmt: skip
@click.option("--per-cell", is_flag=True, help="Write the activities of every cell, too.")
@click.option("--figures", is_flag=True, help="Draw the report's figures of it, too, as PNG beside the tables.")
@click.option("--keep", cls=ByHand, is_flag=True,
              help="Put it into DATASET, too, for the explorer; without --network and --regulators, what lies beside "
                   "DATASET.")  # fmt: skip
@click.option(
    "--backend", cls=ByHand, metavar="NAME", default="ridge", show_default=True,
    help="What infers networks: ridge, correlation, lightgbm, scprint, that of another package, or none.",
)  # fmt: skip
@click.option("--checkpoint", cls=ByHand, type=PATH, metavar="FILE",
              help="Weights of scprint. Loading them can run anything: take none from strangers.")  # fmt: skip
@click.option(
    "--regulators", metavar="GENES", callback=lambda _ctx, _option, text: read_genes(text, "--regulators"),
    show_default="the sources of --network",
    help="Genes that may regulate: symbols separated by commas, or a text file with one a line, FILE.txt or @FILE.",
)  # fmt: skip
@click.option("--edges", type=click.IntRange(1), default=5000, show_default=True, metavar="N",
              help="Strongest edges of each type and protocol to tell of.")  # fmt: skip
@click.option("--bootstraps", type=click.IntRange(0), default=20, show_default=True, metavar="N",
              help="Draws of donors that say how stable an edge is.")  # fmt: skip
@click.option("--evaluate", is_flag=True, help="Say how early edges of --network are found, or of --reference.")
@click.option("--reference", type=PATH, metavar="FILE", help="Evaluate, against these edges: a table as of --network.")
@seed_option
@resume_option
@output_option("DATASET.network")
@format_option("both", *TABLE_FORMATS, default="both")
@force_option
@preset_option
@cluster_option
@partial(limit_options, memory="2GiB")
@shared_options
def network(
    dataset: Path | str, output: Path | None, file_format: str, figures: bool, force: bool, preset: str | None,
    threads: int | None, memory: str | None, as_json: bool, quiet: bool, cluster: str | None,
    **asked: Any,
) -> None:  # fmt: skip
    """Say which regulators are active in each type of DATASET, which genes go with them, and what changes with age.

    \b
    titin network dataset --network collectri.csv
    titin network dataset --network collectri.csv --regulators @factors.txt --evaluate
    titin network dataset --network collectri.csv --backend none --compare age
    titin network dataset --keep

    No network comes with titin: CollecTRI and others are to be had under terms of their own.
    """  # noqa: D301 - \b is click's
    _refuse_contradictions(asked)
    if asked["keep"] and isinstance(dataset, str):
        raise TitinError("--keep writes into the dataset, which is not on this machine", "leave --keep out")
    if asked["keep"] and asked["network_file"] is None and asked["regulators"] is None:
        print_result(_keep(dataset), as_json, _say_kept)
        return
    if figures:
        check_installed("matplotlib", "--figures")
    progress = choose_progress(quiet)
    from titin.ageing.analysis import Inputs
    from titin.ageing.questions import check_types
    from titin.atlas import open_atlas
    from titin.files import beside
    from titin.network.backends import find_backend
    from titin.network.prior_network import read_network
    from titin.network.results_beside import KINDS, MADE_OF, SUFFIX, identify, name_results
    from titin.network.terminal import describe, document
    from titin.results import refuse_existing
    from titin.study.conditions import Where
    from titin.study.flagged import WITHOUT_FLAGGED

    atlas = open_atlas(dataset, threads=threads, memory=memory or "2GiB", preset=preset, cluster=cluster)
    if cluster is not None and asked["backend"] != "none":
        progress.note("the cluster reads what activities are made of: networks in threads of this machine")
    known, reference = (None if asked[name] is None else read_network(asked[name], option) for name, option in
                        (("network_file", "--network"), ("reference", "--reference")))  # fmt: skip
    if known is None and asked["regulators"] is None:
        raise TitinError("there is no network to tell regulators by",
                         "give --network FILE, such as CollecTRI's, or --regulators")  # fmt: skip
    conditions = Where.of([*asked["where"], *([WITHOUT_FLAGGED] if asked["without_flagged"] else [])])
    inputs = Inputs(atlas, asked["seed"], atlas.reader.resources.threads, progress, conditions)
    level = asked["cell_type_level"]
    check_types(atlas, asked["cell_types"], level)
    suffix, csv = ("parquet", True) if file_format == "both" else (file_format, False)
    folder = output or beside(dataset, SUFFIX)
    stem = name_results(inputs.level(level))
    wanted = {"activity": known is not None, "network": asked["backend"] != "none"}
    kinds = {name: kind for name, kind in KINDS.items() if wanted[name]}
    paths = {name: folder / f"{name}_{stem}.{suffix}" for name in kinds}
    drawn = {name: folder / f"{name}_{stem}_figures" for name in kinds if figures}
    cells = folder / "activity_of_cells.parquet"
    if not force:
        refuse_existing([file for name, kind in kinds.items() for file in kind.files(paths[name], csv=csv)])
        refuse_existing([*drawn.values(), *([cells] if asked["per_cell"] else [])])
    if "network" in kinds:
        find_backend(asked["backend"], asked["checkpoint"])  # before anything is computed
    parts = folder / f".{stem}.parts"
    found, missing = _compute({
        "activity": partial(_activities, inputs, known, asked),
        "network": partial(_networks, inputs, known, reference, parts, asked),
    }, list(kinds))  # fmt: skip
    files = []
    for name, result in found.items():
        result.settings["where"] = [str(condition) for condition in conditions.conditions]
        result.settings["warnings"] = list(inputs.warnings)
        result.settings[MADE_OF] = identify(atlas)
        files += result.write(paths[name], csv=csv, force=force)
    _clear(parts)
    if figures:
        pictures, reasons = _draw(found, drawn, atlas.synthetic)
        files, missing = [*files, *pictures], missing | reasons
    if asked["per_cell"] and known is not None and "activity" in found:
        from titin.network.cell_activities import write_cell_activities

        files.append(write_cell_activities(atlas, known, cells, cells=atlas.cells.chosen, threads=inputs.threads,
                                           min_targets=asked["min_targets"], progress=progress))  # fmt: skip
    if asked["keep"]:
        files += _keep(dataset, found)["files"]
    told = document(found, missing, files, asked["cell_types"], atlas.synthetic)
    print_result(told, as_json, describe)


def _keep(dataset: Any, found: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Put regulators into the dataset: those found, or what lies beside it."""
    from titin.network.regulator_tables import write_regulator_tables

    found = found or {}
    kept = write_regulator_tables(dataset, found.get("activity"), found.get("network"))
    return {"schema_version": 1, "command": "network", "files": [str(kept.folder / n) for n in kept.layout.regulation]}


def _say_kept(told: Mapping[str, Any]) -> str:
    from titin.ageing.terminal import say_files
    from titin.visible import visible

    return "\n".join(map(visible, say_files(told["files"])))


def _refuse_contradictions(asked: dict[str, Any]) -> None:
    """Refuse options of what is not computed."""
    context = click.get_current_context()
    given = [name for name in (*_OF_EDGES, *_OF_ACTIVITIES)
             if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]  # fmt: skip
    for name in given:
        option = f"--{name.replace('_', '-')}"
        if asked["backend"] == "none" and name in _OF_EDGES:
            raise TitinError(f"{option} is of networks, and --backend none leaves them out", "leave one of them out")
        if asked["network_file"] is None and name in _OF_ACTIVITIES:
            raise TitinError(f"{option} is of activities, which need a known network", "give --network FILE")
    if asked["evaluate"] and asked["reference"] is None and asked["network_file"] is None:
        raise TitinError("there is no reference to evaluate against", "give --reference FILE, or --network FILE")


def _compute(
    makers: dict[str, Callable[[], Any]], kinds: Sequence[str]
) -> tuple[dict[str, Any], dict[str, str]]:  # fmt: skip
    """What can be computed, and why the other cannot: pathways have activities, and are no genes that regulate.

    Raises
    ------
    NotTestableError
        If nothing can be.
    """
    from titin.ageing.design import NotTestableError

    found, reasons = {}, {}
    for kind in kinds:
        try:
            found[kind] = makers[kind]()
        except NotTestableError as reason:
            reasons[kind] = reason
    if not found:
        raise next(iter(reasons.values()))
    return found, {kind: str(reason.args[0]) for kind, reason in reasons.items()}


def _activities(inputs: "Inputs", known: Any, asked: dict[str, Any]) -> Any:
    from titin.network.regulator_activities import activities

    return activities(
        inputs.pseudobulk(), known, method=asked["method"], cell_type_level=asked["cell_type_level"],
        contrast=asked["compare"], formula=asked["formula"], min_cells=asked["min_cells"],
        min_donors=asked["min_donors"], min_targets=asked["min_targets"],
    )  # fmt: skip


def _networks(inputs: "Inputs", known: Any, reference: Any, parts: Path, asked: dict[str, Any]) -> Any:
    from titin.network.networks import infer_networks
    from titin.network.question import NetworkQuestion

    question = NetworkQuestion(
        backend=asked["backend"], checkpoint=asked["checkpoint"], contrast=asked["compare"], network=known,
        regulators=None if asked["regulators"] is None else tuple(asked["regulators"]),
        reference=reference or (known if asked["evaluate"] else None), n_edges=asked["edges"],
        n_bootstraps=asked["bootstraps"], min_cells=asked["min_cells"], min_donors=asked["min_donors"],
        min_targets=asked["min_targets"], seed=asked["seed"],
    )  # fmt: skip
    if not asked["resume"]:
        _clear(parts)
    return infer_networks(inputs.atlas, question, cell_type_level=asked["cell_type_level"], parts=parts,
                          threads=inputs.threads, progress=inputs.progress)  # fmt: skip


def _draw(
    found: dict[str, Any], folders: dict[str, Path], synthetic: str | None
) -> tuple[list[Path], dict[str, str]]:  # fmt: skip
    """Draw what the report shows of each; the pictures, and why there are none."""
    from titin.ageing.figure_files import write_section_figures
    from titin.network.report_section import show_activities, show_networks

    shown: dict[str, Callable[[Any, Any], None]] = {"activity": show_activities, "network": show_networks}
    pictures, reasons = [], []
    for name, result in found.items():
        show = partial(_fill, shown[name], result)
        files, reason = write_section_figures(show, folders[name], synthetic)
        pictures += files
        reasons += [reason] if reason else []
    return pictures, {} if pictures else {"figures": ", ".join(dict.fromkeys(reasons))}


def _fill(show: Callable[[Any, Any], None], result: Any, section: Any) -> None:
    show(section, result)


def _clear(parts: Path) -> None:
    """Remove what earlier runs have kept of single types: files of networks, and the folder where it is then empty."""
    if parts.is_symlink() or not parts.is_dir():
        return
    for file in parts.iterdir():
        if file.suffix in (".parquet", ".json") and file.is_file() and not file.is_symlink():
            file.unlink()
    if not any(parts.iterdir()):
        parts.rmdir()


network.params = [network.params[0], *_OF_ANALYSES, *network.params[1:]]
