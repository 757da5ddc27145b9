"""Several studies as one dataset: their cells one after another, their genes matched, their columns aligned."""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from titin.builder.options import Options, make_options
from titin.builder.pipeline import BuildReport, build_from
from titin.builder.workspace import check_target
from titin.cluster import connect
from titin.compose.joined_arrays import join_arrays
from titin.compose.joined_genes import JoinedGenes, join_gene_tables
from titin.compose.stacked import StackedOrigin
from titin.compose.study_part import StudyPart, open_parts
from titin.dataset import layout
from titin.dataset.manifest import LAYERS, MODALITIES, RAW
from titin.dataset.unstructured import encode_uns
from titin.errors import TitinError
from titin.files import local_path
from titin.presets import Preset
from titin.progress import Progress
from titin.resources import MIN_MEMORY, make_resources
from titin.source import Source
from titin.study.alignment import align, free_name, join_cells, restoring_records
from titin.study.gene_aliases import GeneAliases, read_gene_aliases
from titin.study.joined_columns import join_columns
from titin.study.merged_roles import MergedRoles, age_units, merge_roles

STUDY = "study"
_NAME_EACH = "give --study-name NAME once for each study, in their order"


def merge(
    sources: Sequence[str | os.PathLike[str]],
    output: str | Path | None = None,
    *,
    studies: Sequence[str] | None = None,
    join: Literal["inner", "outer"] = "inner",
    counts: bool = False,
    gene_aliases: str | os.PathLike[str] | None = None,
    preset: Preset | str | Path | None = None,
    tissue: str | None = None,
    method: str | None = None,
    licence: str | None = None,
    force: bool = False,
    resume: bool = False,
    threads: int | None = None,
    memory: int | str | None = None,
    cluster: Any = None,
    progress: Progress | None = None,
) -> BuildReport:
    """Put several studies together as one dataset, read and written in blocks.

    Genes are matched by stable id, whatever its version, else by symbol, else by alias. Columns of obs are one if they
    have one name or one role, and values of one kind. Barcodes that two studies share get the study's name, and a
    column of obs, with the role *study*, says of which study each cell is.

    Parameters
    ----------
    sources
        Datasets (folders or URLs), or files as for `titin.build`; two at least. The studies of one that is made of
        several are each a study, as they were.
    output
        Folder to write; ``{tissue}_{method}`` in the working directory where not given.
    studies
        Names of the studies, in the order of the sources; where not given, those of folders and files, and of studies
        within a dataset their own.
    join
        ``inner`` for the genes that all studies measured, ``outer`` for those of any: `titin.Atlas.measured` then says
        which study measured which.
    counts
        Take the integer counts of all for the values.
    gene_aliases
        Table of other names of genes, CSV, TSV or Parquet: HGNC's ``hgnc_complete_set.txt``, or columns ``alias`` and
        ``symbol``. Names that var tells of (``alias_symbol``, ``prev_symbol``, ``synonyms``) are known without. An
        alias of two genes, or one that is a symbol as well, matches nothing.
    preset, tissue, method, licence
        As for `titin.build`; where not given, what all datasets agree on.
    force, resume, threads, memory, progress
        As for `titin.build`.
    cluster
        Likewise. Its workers encode what this process has read of the studies, so that only the output has to be where
        they find it.

    Returns
    -------
    BuildReport
        The new dataset's path and manifest; time and memory taken. Notes of the manifest tell of every gene and column
        that was not matched.

    Raises
    ------
    TitinError
        If there are not two studies of different names, they have no gene in common, or values of different kinds; or
        as `titin.build`. Nothing is then written at ``output``.

    Examples
    --------
    >>> titin.merge(["one", "other.h5ad"], "both", join="outer")  # doctest: +SKIP
    """
    options = make_options(preset, tissue=tissue, method=method, licence=licence, project=())
    resources = make_resources(threads, memory, least=MIN_MEMORY, cluster=connect(cluster))
    _check_sources(sources, studies)
    aliases = None if gene_aliases is None else read_gene_aliases(Path(gene_aliases))
    if output is not None:
        check_target(local_path(output), force=force or resume)
    with ExitStack() as opened:
        parts: list[StudyPart] = []
        for place in sources:
            for part in open_parts(place, options, resources, counts=counts):
                parts.append(part)
                opened.callback(part.source.close)
        _name(parts, studies)
        _check_parts(parts)
        source, roles = _join(parts, join, aliases)
        for part in parts:
            part.release_tables()
        said: dict[str, Any] = {"join": join, "counts": counts, "studies": list(source.studies)}
        said |= {"gene_aliases": aliases.origin} if aliases else {}
        agreed = _agreed(parts, options, {"merge": said})
        target = local_path(output) if output else None
        return build_from(
            source, roles.choices, target, agreed, resources, force=force, resume=resume, progress=progress
        )


def _check_sources(sources: Sequence[Any], studies: Sequence[str] | None) -> None:
    if len(sources) < 2:
        raise TitinError("a merge takes two datasets or files at least", "titin merge A B -o AB")
    if studies and not all(name.strip() for name in studies):
        raise TitinError("a study has no name", _NAME_EACH)


def _name(parts: list[StudyPart], studies: Sequence[str] | None) -> None:
    """Give the studies other names than their own, one each."""
    if not studies:
        return
    if len(studies) != len(parts):
        said = f"{len(studies)} {'name' if len(studies) == 1 else 'names'} for {len(parts)} studies"
        raise TitinError(f"{said}: {', '.join(part.name for part in parts)}", _NAME_EACH)
    for part, name in zip(parts, studies, strict=True):
        part.name = name


def _check_parts(parts: list[StudyPart]) -> None:
    """Refuse what cannot be one dataset."""
    name, n = Counter(part.name for part in parts).most_common(1)[0]
    if n > 1:
        raise TitinError(f"{n} studies are called {name!r}", _NAME_EACH)
    content = Counter(part.content for part in parts)
    same = [part.name for part in parts if content[part.content] > 1]
    if same:
        raise TitinError(f"{' and '.join(same)} are one and the same", "name each study once")
    kinds = {part.name: part.kind for part in parts}
    if len(set(kinds.values())) > 1:
        said = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        raise TitinError(
            f"the values of the studies are of different kinds: {said}",
            "--merge-counts takes the integer counts of all, where all have them",
        )


def _join(parts: list[StudyPart], join: str, aliases: GeneAliases | None) -> tuple[Source, MergedRoles]:
    by_name = {part.name: part for part in parts}
    sources = {name: part.source for name, part in by_name.items()}
    named = {name: part.genes for name, part in by_name.items()}
    genes = join_gene_tables(sources, join, named=named, aliases=aliases)
    roles = merge_roles(
        {name: part.roles for name, part in by_name.items()}, age_units(part.ages.derived for part in parts)
    )
    obs_tables = {name: source.obs for name, source in sources.items()}
    of_obs = align(obs_tables, "obs", roles.renamed)
    suffixed, names = _cell_names(obs_tables)
    study = free_name(STUDY, of_obs.groups)
    cells = join_cells(obs_tables, of_obs) | {study: _study_column(obs_tables)}
    cells |= roles.made({name: len(table) for name, table in obs_tables.items()}, cells)
    obs = pd.DataFrame(cells).set_axis(names, axis=0)
    roles.finish(study, of_obs)
    studies = {
        name: {
            "n_cells": source.X.shape[0], **genes.entries[name], "suffix": f"-{name}" if suffixed else "",
            "roles": roles.own[name], "obs": restoring_records(source.obs, of_obs.names[name], layout.CELL_ID),
        }
        for name, source in sources.items()
    }  # fmt: skip
    uns, lost = _uns(by_name)
    X, counts = genes.stacked(sources, "X")
    joined = Source(
        inventory=StackedOrigin(list(sources.values())), format="titin", X=X, counts=counts,
        obs=obs, var=genes.var, uns=uns, left_out=lost, kind=parts[0].kind, genes=genes.matched.genes,
        notes=genes.notes + of_obs.notes + roles.notes + _about_names(suffixed, study),
        ages=_ages(by_name, names), made_of=[part.made_of for part in parts], studies=studies,
    )  # fmt: skip
    raw = _join_further(joined, sources, genes, join, aliases)
    joined.arrays = join_arrays(sources, genes, raw, joined.left_out)
    return joined, roles


def _join_further(
    joined: Source, sources: Mapping[str, Source], genes: JoinedGenes, join: str, aliases: GeneAliases | None
) -> JoinedGenes | None:
    """Join the further matrices that all studies have, of values of one kind; all else is noted as left out.

    The genes of raw are returned, where it is joined.
    """
    of_raw = None
    for place in dict.fromkeys(place for source in sources.values() for place in source.parts):
        own = {study: source.parts[place] for study, source in sources.items() if place in source.parts}
        kinds = {study: str(source.kind) for study, source in own.items()}
        if len(own) < len(sources):
            joined.left_out[place] = f"of {', '.join(own)} alone"
        elif len(set(kinds.values())) > 1:
            said = ", ".join(f"{study} {kind}" for study, kind in kinds.items())
            joined.left_out[place] = f"of different kinds: {said}"
        elif place.startswith(LAYERS):
            X, counts = genes.stacked(own, place)
            joined.parts[place] = joined.with_matrix(X, counts=counts, kind=next(iter(own.values())).kind)
        else:
            found = _join_with_own_genes(joined, place, own, join, aliases)
            of_raw = found if place == RAW else of_raw
    return of_raw


def _join_with_own_genes(
    joined: Source, place: str, own: Mapping[str, Source], join: str, aliases: GeneAliases | None
) -> JoinedGenes | None:
    """Join raw or a modality: its features are matched as those of X are, and what a study lacks is no zero either."""
    try:
        if place.startswith(MODALITIES):
            genes = join_gene_tables(own, join, noun="features")
        else:
            genes = join_gene_tables(own, join, aliases=aliases)
    except TitinError as error:
        joined.left_out[place] = str(error.args[0])
        return None
    for study, entry in genes.entries.items():
        joined.studies[study].setdefault("parts", {})[place] = entry
    X, counts = genes.stacked(own, f"{place}/X")
    joined.parts[place] = joined.with_matrix(
        X,
        counts=counts,
        kind=next(iter(own.values())).kind,
        var=genes.var,
        genes=genes.matched.genes,
        notes=genes.notes,
    )
    return genes


def _cell_names(tables: Mapping[str, pd.DataFrame]) -> tuple[bool, pd.Index]:
    """Whether names got the study's, and the names."""
    names = pd.Index([name for table in tables.values() for name in table.index.astype(str)], dtype=object)
    if names.is_unique:
        return False, names
    own = [name for study, table in tables.items() for name in (table.index.astype(str) + f"-{study}")]
    return True, pd.Index(own, dtype=object)


def _about_names(suffixed: bool, study: str) -> list[str]:
    said = [f"obs column {study!r} says of which study a cell is"]
    return [*said, "studies share barcodes: each has its study's name at the end"] if suffixed else said


def _study_column(tables: Mapping[str, pd.DataFrame]) -> pd.Series:
    codes = np.repeat(np.arange(len(tables)), [len(table) for table in tables.values()])
    return pd.Series(pd.Categorical.from_codes(codes, pd.Index(list(tables), dtype=object)))


def _ages(parts: Mapping[str, StudyPart], names: pd.Index) -> dict[str, tuple[pd.Series, dict[str, Any]]]:
    """Ages in years of all cells, as each study has them."""
    columns = list(dict.fromkeys(name for part in parts.values() for name in part.ages.columns))
    found = {}
    for name in columns:
        own = [part.ages.columns.get(name, len(part.source.obs)) for part in parts.values()]
        joined = join_columns([one.reset_index(drop=True) if isinstance(one, pd.Series) else one for one in own])
        origins = {study: part.ages.derived[name] for study, part in parts.items() if name in part.ages.derived}
        first = next(iter(origins.values()))
        origin = {key: value for key, value in first.items() if all(o.get(key) == value for o in origins.values())}
        found[name] = (joined.set_axis(names), {"from": first["from"], **origin})
    return found


def _uns(parts: Mapping[str, StudyPart]) -> tuple[dict[str, Any], dict[str, str]]:
    """What all studies say alike, and all of each under its name; and what cannot be joined."""
    own = {study: part.source.uns for study, part in parts.items()}
    first = next(iter(own.values()))
    said = {key: {study: _written(key, uns) for study, uns in own.items()} for key in first}
    alike: dict[str, Any] = {key: first[key] for key, found in said.items() if len(set(found.values())) == 1}
    lost = {
        f"obsm/{key}": "coordinates of one study say nothing of another's; `titin embed` computes those of all"
        for part in parts.values() for key in part.source.obsm
    }  # fmt: skip
    for study, part in parts.items():
        lost |= {f"{study}: {key}": reason for key, reason in part.source.left_out.items()}
    differing = {study: {key: value for key, value in uns.items() if key not in alike} for study, uns in own.items()}
    return {**alike, **({"studies": differing} if any(differing.values()) else {})}, lost


def _written(key: str, uns: Mapping[str, Any]) -> str:
    return json.dumps(encode_uns({key: uns[key]})[0], sort_keys=True) if key in uns else ""


def _agreed(parts: list[StudyPart], options: Options, derivation: Mapping[str, Any]) -> Options:
    """Options of the whole: as given, else what all parts agree on."""

    def common(values: list[Any]) -> Any:
        return values[0] if all(value == values[0] for value in values) else None

    preset = options.preset if options.preset != Preset() else common([part.preset for part in parts])
    return replace(
        options, tissue=options.tissue or common([part.tissue for part in parts]) or "merged",
        method=options.method or common([part.method for part in parts]) or "scrna",
        licence=options.licence or common([part.licence for part in parts]), preset=preset or Preset(),
        derivation=derivation, roles={},
    )  # fmt: skip
