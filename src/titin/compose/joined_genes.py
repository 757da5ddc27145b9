"""The genes of one matrix of several studies as one table: matched, with the way back to each study's own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.builder.job import name_genes
from titin.compose.dataset_source import COUNTS
from titin.compose.stacked import StackedMatrix, StackedStudy
from titin.dataset import layout
from titin.source import Source
from titin.study.alignment import Alignment, align, free_name, join_genes, restoring_records
from titin.study.gene_aliases import GeneAliases, aliases_of_var
from titin.study.gene_matching import MatchedGenes, match_genes


@dataclass
class JoinedGenes:
    """The genes of several studies, of X or of a further matrix that has genes of its own.

    Attributes
    ----------
    matched
        Which gene of each study is which.
    var
        Their table.
    entries
        By study: ``n_genes``, the columns of var that say what it ``measured`` and what it calls them (``names``), the
        records that restore its own ``var``, and which of its genes were matched ``by_alias``, or not as theirs is
        ``ambiguous``.
    notes
        What people should know of them.
    """

    matched: MatchedGenes
    var: pd.DataFrame
    entries: dict[str, dict[str, Any]]
    notes: list[str]

    def stacked(self, sources: Mapping[str, Source], name: str) -> tuple[StackedMatrix, StackedMatrix | None]:
        """Put matrices that have these genes one under another.

        Parameters
        ----------
        sources
            By study; the X of each is taken.
        name
            Where AnnData has the matrix.

        Returns
        -------
        values
            The matrix.
        counts
            The counts behind the values. They come with the values, so that this is only a name; None where no study
            has any.
        """
        studies = [StackedStudy(source, self._columns(study)) for study, source in sources.items()]
        n_genes = len(self.matched.names)
        has_counts = any(source.counts is not None for source in sources.values())
        return (StackedMatrix(studies, n_genes, name), StackedMatrix(studies, n_genes, COUNTS) if has_counts else None)

    def _columns(self, study: str) -> NDArray[np.int32]:
        """Column of the stack of each gene of a study, -1 for none."""
        places = self.matched.places[study]
        columns = np.full(self.entries[study]["n_genes"], -1, np.int32)
        measured = np.flatnonzero(places >= 0)
        columns[places[measured]] = measured
        return columns


def join_gene_tables(
    sources: Mapping[str, Source], join: str, *, noun: Literal["genes", "features"] = "genes",
    named: Mapping[str, pd.DataFrame] | None = None, aliases: GeneAliases | None = None,
) -> JoinedGenes:  # fmt: skip
    """Match the genes of matrices of several studies, and join their tables.

    Parameters
    ----------
    sources
        By study.
    join
        ``inner`` for the genes of all, ``outer`` for those of any.
    noun
        What they are called in what is said.
    named
        By study: symbols (``gene``) and stable ids (``gene_ids``), where they are known already.
    aliases
        Other names of genes, beside those that var tells of.

    Raises
    ------
    TitinError
        If no gene is in all studies.
    """
    named = named or {study: name_genes(source) for study, source in sources.items()}
    tables = {study: source.var for study, source in sources.items()}
    of_var = aliases_of_var((table, named[study]) for study, table in tables.items()) if noun == "genes" else None
    own = {study: (table.index, named[study]) for study, table in tables.items()}
    genes = match_genes(own, join, noun=noun, aliases=[known for known in (aliases, of_var) if known])
    alignment = align(tables, "var", {}, genes.places)
    var, added = _table(tables, alignment, genes, join)
    entries = {
        study: {"n_genes": len(table), **added[study], **_of_aliases(genes, study),
                "var": restoring_records(table, alignment.names[study], layout.GENE)}
        for study, table in tables.items()
    }  # fmt: skip
    return JoinedGenes(genes, var, entries, genes.notes + alignment.notes)


def _of_aliases(genes: MatchedGenes, study: str) -> dict[str, Any]:
    told = {"by_alias": genes.by_alias.get(study), "ambiguous": genes.ambiguous.get(study)}
    return {key: value for key, value in told.items() if value}


def _table(
    tables: Mapping[str, pd.DataFrame], alignment: Alignment, genes: MatchedGenes, join: str
) -> tuple[pd.DataFrame, dict[str, dict[str, Any]]]:
    """Var, and by study the columns that say what it measured and what it calls the genes."""
    columns = join_genes(tables, alignment, genes.places)
    added: dict[str, dict[str, Any]] = {}
    for study, table in tables.items():
        own = genes.places[study]
        added[study] = {"measured": None, "names": None}
        if join == "outer":
            added[study]["measured"] = name = free_name(f"measured_{study}", columns)
            columns[name] = pd.Series(own >= 0)
        theirs = table.index.astype(str).to_numpy(object)[own]
        theirs[own < 0] = None
        if (theirs != np.array(genes.names, object))[own >= 0].any():
            added[study]["names"] = name = free_name(f"name_in_{study}", columns)
            columns[name] = pd.Series(pd.Categorical(theirs))
    index = pd.Index(genes.names, dtype=object, name=next(iter(tables.values())).index.name)
    return pd.DataFrame(columns, index=range(len(index))).set_axis(index, axis=0), added
