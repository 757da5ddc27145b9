"""Gene sets that come with the package, each with its source and licence."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from titin.errors import TitinError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


@dataclass(frozen=True)
class GeneSet:
    """A named set of genes.

    Attributes
    ----------
    name
        Unique among the bundled sets, e.g. ``SenMayo`` or ``markers_MuSC``.
    genes
        HGNC symbols as the source spells them, each once, in the source's order.
    description
        What the genes have in common.
    source
        Where the set was published; cite it. Empty for sets read with `read_gmt`.
    licence
        SPDX identifier of the terms under which the set may be passed on. Empty for sets read with `read_gmt`.
    """

    name: str
    genes: tuple[str, ...]
    description: str
    source: str
    licence: str

    def __len__(self) -> int:
        return len(self.genes)


def gene_sets() -> dict[str, GeneSet]:
    """Return the bundled gene sets by name; they are read when first asked for.

    Returns
    -------
    dict
        ``markers_<type>`` for 33 cell types of skeletal muscle; ``sex_male`` and ``sex_female``; sets of ageing and
        senescence (``SenMayo``, ``GenAge_human``, ``CellAge…``, ``HAGR_ageing_up`` and ``…_down``); states and
        programmes of muscle, the cell cycle, and parts of Hallmark and Reactome. ``SOURCES.md`` beside the files lists
        them all.

    Examples
    --------
    >>> gene_sets()["markers_MuSC"].genes
    ('PAX7', 'DLK1', 'MYF5', 'NCAM1')
    >>> len(gene_sets()["SenMayo"]), gene_sets()["SenMayo"].licence
    (125, 'CC-BY-4.0')
    """
    return dict(_bundled())


def read_gmt(path: Path | str) -> dict[str, GeneSet]:
    """Read a GMT file: one set a line, as name, description and genes separated by tabs.

    Parameters
    ----------
    path
        A text file in UTF-8, as those of MSigDB.

    Returns
    -------
    dict
        The sets by name, in the file's order; a gene that a line names twice is kept once.

    Raises
    ------
    TitinError
        If the file cannot be read, a line has no gene, or two lines have one name.
    """
    path = Path(path)
    try:
        return _parse_gmt(path.read_text(encoding="utf-8"), str(path), "", "")
    except (OSError, UnicodeDecodeError) as error:
        raise TitinError(f"{path}: cannot be read as text: {error}") from error


@cache
def _bundled() -> dict[str, GeneSet]:
    folder: Traversable = files("titin.features") / "data"
    rows = csv.DictReader((folder / "sources.tsv").read_text(encoding="utf-8").splitlines(), delimiter="\t")
    sets: dict[str, GeneSet] = {}
    for row in rows:
        text = (folder / row["file"]).read_text(encoding="utf-8")
        sets |= _parse_gmt(text, row["file"], row["source"], row["licence"])
    return sets


def _parse_gmt(text: str, where: str, source: str, licence: str) -> dict[str, GeneSet]:
    sets: dict[str, GeneSet] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        name, *rest = (field.strip() for field in line.split("\t"))
        genes = tuple(dict.fromkeys(gene for gene in rest[1:] if gene))
        if not name or not genes:
            raise TitinError(
                f"{where}, line {number}: a gene set needs a name, a description and at least one gene",
                "separate the fields with tabs",
            )
        if name in sets:
            raise TitinError(f"{where}, line {number}: the name {name!r} is used twice")
        sets[name] = GeneSet(name, genes, rest[0], source, licence)
    return sets
