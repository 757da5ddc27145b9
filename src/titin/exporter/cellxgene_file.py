"""A dataset as a file of the CELLxGENE schema (.h5ad), with terms that a person has confirmed."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas.orders import source_order
from titin.atlas.tables import read_embedding, read_obs, read_source_var, read_uns
from titin.errors import TitinError
from titin.exporter.anndata_file import PatientFile, write_element, write_table
from titin.exporter.cellxgene_confirm import confirmed_terms
from titin.exporter.cellxgene_genes import Genes, find_genes
from titin.exporter.cellxgene_guesses import StudyTables
from titin.exporter.cellxgene_matrix import (
    GenePlaces,
    MatrixPlan,
    places_among,
    plan_matrices,
    same_places,
    write_float_csr,
)
from titin.exporter.cellxgene_ontologies import Ontologies, installed
from titin.exporter.cellxgene_schema import VERSION, gene_id
from titin.exporter.cellxgene_tables import schema_obs, schema_obsm, schema_uns, schema_var
from titin.exporter.cellxgene_terms import TermsFile
from titin.exporter.job import ExportJob
from titin.exporter.names import check_keys, check_table
from titin.extras import check_installed
from titin.text import count

_TO = "h5ad"


def write_cellxgene(job: ExportJob, path: Path) -> None:
    """Write an ``.h5ad`` file of the schema, or a proposal of its terms where these are not confirmed.

    Raises
    ------
    TitinError
        If the terms are not there or not confirmed, or the dataset lacks what the schema asks for.
    """
    check_installed("anndata", "this format")
    import h5py

    if job.terms is None:
        raise TitinError("--format cellxgene takes its terms from a file in which a person has confirmed them",
                         "name one with --terms FILE: if it is not there yet, a proposal is written to it")  # fmt: skip
    plan = plan_matrices(job)
    order = source_order(job.store)
    obs = read_obs(job.store, order)
    var, uns = read_source_var(plan.counts.store), dict(read_uns(job.store))
    check_table(obs, "obs", _TO)
    check_table(var, "var", _TO)
    tables = StudyTables(obs, var, uns, job.manifest, Ontologies() if installed() else None, job.progress.note)
    terms = confirmed_terms(job.terms, tables)
    genes = find_genes(var, terms.gene_column.text)
    positions, ids = genes.chosen(terms.leave_out)
    _tell_left_out(job, genes, positions)
    _tell_unmeasured(job, var)
    embeddings = {key: read_embedding(job.store, key, obs.index, order) for key in job.manifest.obsm}
    obsm = schema_obsm(embeddings, job.progress.note)
    made, renamed = schema_obs(obs, terms, job.progress.note)
    document = schema_uns(uns, terms, made, renamed, job.progress.note)
    table = schema_var(var, positions, ids, genes.column, job.progress.note)
    check_table(made, "obs", _TO)
    check_table(table, "var", _TO)
    check_keys(document, "uns", _TO)
    values = _values_places(job, plan, terms, positions, ids)
    with PatientFile(path) as file:
        with h5py.File(file, "w") as root:
            root.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
            _write_tables(root, made, table, _is_filtered(var, positions, plan, values), document, obsm, plan)
            _write_matrices(root, plan, same_places(positions), values, made.index)
            for name, place in _other_layers(job, plan).items():
                own = job.of(job.store.part(place))
                write_float_csr(own, root["layers"], name, place, values or same_places(positions))
        file.check()
    job.progress.note(f"written for schema {VERSION}; `cellxgene-schema validate {path.name}` has the last word")


def _other_layers(job: ExportJob, plan: MatrixPlan) -> dict[str, str]:
    return {name: place for name, place in job.manifest.layers.items() if name != plan.layer}


def _tell_left_out(job: ExportJob, genes: Genes, positions: NDArray[np.int64]) -> None:
    kept = set(positions.tolist())
    left = [name for at, name in enumerate(genes.names) if at not in kept]
    if left:
        job.progress.note(f"{count(len(left), 'gene')} left out, as the file of terms says: {', '.join(left[:10])}"
                          f"{', …' if len(left) > 10 else ''}")  # fmt: skip
    without = [*job.manifest.modalities, *job.manifest.arrays, *(f"varm/{key}" for key in job.manifest.varm)]
    if without:
        job.progress.note(f"the file has no place for {', '.join(without)}")


def _tell_unmeasured(job: ExportJob, var: pd.DataFrame) -> None:
    """Say where a zero is none, of a dataset of several studies."""
    measured = [var[own["measured"]] for own in job.manifest.studies.values() if own.get("measured") in var.columns]
    if not all(bool(column.all()) for column in measured):
        job.progress.note("genes that a study did not measure are zeros in the file: the schema has no word for them")


def _values_places(
    job: ExportJob, plan: MatrixPlan, terms: TermsFile, positions: NDArray[np.int64], ids: list[str]
) -> GenePlaces | None:
    """Where the genes of the values are written; None where there are only counts."""
    if plan.values is None:
        return None
    if not getattr(plan.counts.manifest, "own_genes", False):
        return same_places(positions)
    var = read_source_var(job.store)
    column = terms.gene_column.text
    own = find_genes(var, column if column in ("", *var.columns) else None)
    names = {*terms.leave_out, *filter(None, map(gene_id, terms.leave_out))}
    left_out = {found for name, found in zip(own.names, own.ids, strict=True) if found and {name, found} & names}
    return places_among(own.ids, ids, left_out)


def _is_filtered(
    var: pd.DataFrame, positions: NDArray[np.int64], plan: MatrixPlan, values: GenePlaces | None
) -> NDArray[np.bool_]:
    """Whether a gene has counts but no values: as var says, or because the values are of fewer genes."""
    if values is None:
        return np.zeros(len(positions), bool)
    found = np.ones(len(positions), bool)
    found[values.places] = False
    stated = var.get("feature_is_filtered")
    if stated is not None and stated.dtype == bool and not getattr(plan.counts.manifest, "own_genes", False):
        found |= stated.to_numpy()[positions]
    return found


def _write_tables(
    root: Any, obs: pd.DataFrame, var: pd.DataFrame, filtered: NDArray[np.bool_], uns: dict[str, Any],
    obsm: dict[str, Any], plan: MatrixPlan,
) -> None:  # fmt: skip
    """Write all but the matrices."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anndata announces changes of its defaults
        write_table(root, "obs", obs, _TO)
        write_table(root, "var", var.assign(feature_is_filtered=filtered), _TO)
        for place, mapping in {"obsm": obsm, "uns": uns, "varm": {}, "layers": {}, "obsp": {}, "varp": {}}.items():
            write_element(root, place, {}, place, _TO)
            for key, value in mapping.items():
                write_element(root[place], key, value, f"{place}/{key}", _TO)
        if plan.values is not None:
            group = root.create_group("raw")
            group.attrs.update({"encoding-type": "raw", "encoding-version": "0.1.0"})
            write_table(group, "var", var, _TO)
            write_element(group, "varm", {}, "raw/varm", _TO)


def _write_matrices(
    root: Any, plan: MatrixPlan, counts: GenePlaces, values: GenePlaces | None, barcodes: pd.Index
) -> None:
    """Write counts and values; refuse cells without a count, as the schema does."""
    where = root if values is None else root["raw"]
    n_values = write_float_csr(plan.counts, where, "X", "X" if values is None else "raw/X", counts)
    empty = np.flatnonzero(n_values == 0)
    if len(empty):
        raise TitinError(
            f"{count(len(empty), 'cell')} without a count in the genes that are exported, which the schema refuses: "
            f"first {barcodes[empty[0]]!r}", "leave fewer genes out, or take the cells away by `titin subset --where`",
        )  # fmt: skip
    if plan.values is not None and values is not None:
        write_float_csr(plan.values, root, "X", "X", values)
