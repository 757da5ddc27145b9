"""Gene sets, and the text files (GMT) that hold them."""

from dataclasses import dataclass
from pathlib import Path

from titin.errors import TitinError
from titin.files import read_text


@dataclass(frozen=True)
class GeneSet:
    """A named set of genes.

    Attributes
    ----------
    name
        Unique among the sets it comes with, e.g. ``SenMayo``.
    genes
        Symbols as the source spells them, each once, in the source's order.
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
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise TitinError(f"{path}: cannot be read as text: {error}") from error
    return parse_gmt(text, str(path))


def parse_gmt(text: str, where: str, source: str = "", licence: str = "") -> dict[str, GeneSet]:
    """Gene sets by name from the text of a GMT file.

    Parameters
    ----------
    text
        Of the file.
    where
        What errors call it.
    source, licence
        Of each set.

    Raises
    ------
    TitinError
        If a line has no gene, or two lines have one name.
    """
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
