"""Names of genes as numbers, for models that read cells as sentences."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas import Atlas, RowBlock
from titin.atlas.row_groups import gene_blocks
from titin.dataset import layout
from titin.dataset.strict_json import read_json
from titin.errors import TitinError
from titin.load.kernels import bin_cells, rank_cells
from titin.load.studies import Studies
from titin.parallel import ordered_map
from titin.resources import available_threads

PAD, CLS = "<pad>", "<cls>"
_COUNTED = "tokens are made of counts"
Naming = Literal["ids", "symbols"]


class Vocabulary:
    """Which number stands for which gene.

    Parameters
    ----------
    tokens
        Number of each name, and of the special tokens, such as ``<pad>`` and ``<cls>``, that there are.
    by
        What the names are: ``ids`` or ``symbols``.

    Raises
    ------
    TitinError
        If a number is negative or stands for two names, or ``by`` is neither of the two.

    Examples
    --------
    >>> vocabulary = Vocabulary({"<pad>": 0, "<cls>": 1, "ACTB": 2}, by="symbols")
    >>> vocabulary["ACTB"], len(vocabulary), "XIST" in vocabulary
    (2, 3, False)
    """

    def __init__(self, tokens: Mapping[str, int], by: Naming = "ids") -> None:
        if by not in ("ids", "symbols"):
            raise TitinError(f"there are no names {by!r} of genes", "give ids or symbols")
        self.tokens, self.by = dict(tokens), by
        twice = [token for token, n in Counter(self.tokens.values()).items() if n > 1]
        bad = twice or [token for token in self.tokens.values() if not 0 <= token < 2**31]
        if bad:
            raise TitinError(
                f"the vocabulary has the token {bad[0]} {'twice' if twice else ''}".rstrip(),
                "number its names with different integers from 0",
            )

    @classmethod
    def of(cls, atlas: Atlas, by: Naming = "ids") -> "Vocabulary":
        """Number the genes of a dataset: ``<pad>`` 0, ``<cls>`` 1, then all genes in the source's order."""
        names = gene_names(atlas, by)
        return cls({name: token for token, name in enumerate([PAD, CLS, *names])}, by)

    @classmethod
    def from_json(cls, path: str | os.PathLike[str], by: Naming = "ids") -> "Vocabulary":
        """Read a JSON file that maps names to numbers, as `to_json` writes and scGPT's ``vocab.json`` is.

        Raises
        ------
        TitinError
            If it is not such a file.
        """
        try:
            tokens = read_json(Path(path))
        except (OSError, ValueError) as error:
            raise TitinError(f"{path} cannot be read: {error}", "give a JSON file of names and numbers") from error
        if not isinstance(tokens, dict) or not all(type(token) is int for token in tokens.values()):
            raise TitinError(f"{path} does not map names to numbers", "give a JSON file of names and numbers")
        return cls(tokens, by)

    def to_json(self) -> str:
        """Write it as one JSON object, names to numbers."""
        return json.dumps(self.tokens, indent=0, ensure_ascii=False) + "\n"

    def __getitem__(self, name: str) -> int:
        return self.tokens[name]

    def __contains__(self, name: object) -> bool:
        return name in self.tokens

    def __len__(self) -> int:
        return len(self.tokens)


def gene_names(atlas: Atlas, by: Naming) -> list[str]:
    """Name of every gene, in the source's order; a symbol that several genes share gives way to their ids."""
    symbols, ids = atlas.reader.genes.symbols, atlas.reader.genes.ids
    if by == "ids":
        return ids
    shared = {symbol for symbol, n in Counter(symbols).items() if n > 1}
    return [name if symbol in shared else symbol for symbol, name in zip(symbols, ids, strict=True)]


def gene_medians(atlas: Atlas, cells: Any = None, by: Naming = "ids") -> pd.Series:
    """Median of counts / total × 10,000 of each gene over the cells that express it.

    Read gene by gene, twice, in the memory of a row group and of one number a cell; exact, where Geneformer's
    published medians are estimated from a digest.

    Parameters
    ----------
    cells
        Which: positions, a mask, or names of cells; all where not given.
    by
        What the index is to be.

    Returns
    -------
    pandas.Series
        float64, in the source's order; NaN where no cell expresses the gene.

    Raises
    ------
    TitinError
        If the dataset is of kind ``real``.
    """
    atlas.manifest.need_counts(_COUNTED)
    chosen = np.zeros(atlas.n_obs, bool)
    chosen[atlas.cell_positions(cells)] = True
    totals = np.zeros(atlas.n_obs)
    for block in gene_blocks(atlas.store):
        np.add.at(totals, block.cells, block.stored)
    medians, place_of = np.full(atlas.n_vars, np.nan), atlas.source_columns
    for block in gene_blocks(atlas.store):
        normalised = block.stored / totals[block.cells] * layout.TARGET_SUM
        kept = chosen[block.cells]
        for i, (a, b) in enumerate(pairwise(block.indptr.tolist())):
            of_gene = normalised[a:b][kept[a:b]]
            if len(of_gene):
                medians[place_of[block.first + i]] = np.median(of_gene)
    return pd.Series(medians, index=gene_names(atlas, by), name="median")


__all__ = ["CLS", "PAD", "TokenBatch", "Tokens", "Vocabulary", "gene_medians", "tokens"]


@dataclass(frozen=True)
class TokenBatch:
    """Some cells as lists of tokens, one after another.

    Attributes
    ----------
    cells
        int64, their positions in the dataset (for ``atlas.cell_columns``).
    offsets
        int64, cells + 1: cell ``i`` has ``tokens[offsets[i]:offsets[i + 1]]``.
    tokens
        int32, as in the vocabulary.
    values
        int32, the bin of each token; None for ranks, which their order gives.
    cut, dropped
        int32 a cell: expressed genes that ``max_len`` left no room for, and those that the vocabulary or the medians
        do not have.
    """

    cells: NDArray[np.int64]
    offsets: NDArray[np.int64]
    tokens: NDArray[np.int32]
    values: NDArray[np.int32] | None
    cut: NDArray[np.int32]
    dropped: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.cells)

    def lists(self) -> list[NDArray[np.int32]]:
        """Return the tokens of each cell."""
        return np.split(self.tokens, self.offsets[1:-1])

    def padded(self, pad: int = 0, length: int | None = None) -> tuple[NDArray[np.int32], NDArray[np.int32] | None]:
        """Return tokens and values as matrices, cells × length (the longest cell's where not given), int32.

        Behind a cell's last token stand ``pad`` and the value 0; longer cells are cut off.
        """
        lengths = np.diff(self.offsets)
        width = int(lengths.max(initial=0)) if length is None else length
        places = np.arange(width) < lengths[:, None]
        kept = np.arange(len(self.tokens)) - np.repeat(self.offsets[:-1], lengths) < width
        matrices = []
        for elements, fill in ((self.tokens, pad), (self.values, 0)):
            matrix = np.full(places.shape, fill, np.int32)
            if elements is not None:
                matrix[places] = elements[kept]
            matrices.append(matrix)
        return matrices[0], None if self.values is None else matrices[1]


class Tokens:
    """The cells of an atlas as tokens, batch by batch; made by `tokens`, and iterated over as often as wanted.

    Attributes
    ----------
    vocabulary
        The numbers of the genes; ``vocabulary.to_json()`` goes with a model.
    dropped
        Names of the dataset's genes that the vocabulary, or the medians for ranks, do not have.
    """

    def __init__(
        self, atlas: Atlas, style: Literal["rank", "binned"], max_len: int, cells: Any, n_bins: int,
        vocabulary: Naming | Vocabulary, medians: "Mapping[str, float] | pd.Series | None", cls: bool,
        ties: Literal["spread", "together"], seed: int, threads: int | None,
    ) -> None:  # fmt: skip
        _refuse_several(atlas)
        _check(style, max_len, n_bins, ties, cls)
        atlas.manifest.need_counts(_COUNTED)
        self.atlas, self.style, self.max_len, self.cells, self.n_bins = atlas, style, max_len, cells, n_bins
        self.vocabulary = vocabulary if isinstance(vocabulary, Vocabulary) else Vocabulary.of(atlas, vocabulary)
        if cls and CLS not in self.vocabulary:
            raise TitinError(f"the vocabulary has no {CLS}", "add it, or leave cls=False")
        self.ties, self.seed, self.threads = ties, seed, threads or available_threads()
        self._first = self.vocabulary[CLS] if cls else -1
        self._given = medians

    @cached_property
    def _names(self) -> list[str]:
        return gene_names(self.atlas, self.vocabulary.by)

    @cached_property
    def medians(self) -> pd.Series:
        """Median of each gene, by name in the source's order (float64); NaN where there is none."""
        if self._given is None:
            return gene_medians(self.atlas, by=self.vocabulary.by)
        found = pd.Series(self._given, dtype=np.float64).reindex(self._names)
        if found.isna().all():
            raise TitinError("no gene of the dataset has a median", f"give medians by {self.vocabulary.by}")
        if (found <= 0).any():
            name = found.index[found <= 0][0]
            raise TitinError(f"the median of {name} is {found[name]}", "a median of non-zero values is above zero")
        return found

    @cached_property
    def _token_of(self) -> NDArray[np.int32]:
        """Token of each gene in the source's order; -1 for those that are dropped."""
        numbers = np.array([self.vocabulary.tokens.get(name, -1) for name in self._names], np.int32)
        if self.style == "rank" and self._given is not None:
            numbers[self.medians.isna().to_numpy()] = -1
        if (numbers < 0).all():
            raise TitinError(
                "the vocabulary has no gene of the dataset",
                f"it is said to be of {self.vocabulary.by}; the dataset's are like {', '.join(self._names[:3])}",
            )
        return numbers

    @property
    def dropped(self) -> list[str]:
        """Names of the dataset's genes that have no token."""
        return [self._names[i] for i in np.flatnonzero(self._token_of < 0)]

    def __iter__(self) -> Iterator[TokenBatch]:
        """Yield batches of about a thousand cells, in the dataset's order.

        Raises
        ------
        SelectionError, UnknownNameError
            If ``cells`` names what is not there.
        DatasetError
            If a file is missing, damaged or replaced.
        """
        _ = self._token_of
        medians = self.medians.to_numpy() if self.style == "rank" else np.empty(0)
        blocks = self.atlas.iter_blocks(counts=True, cells=self.cells)
        yield from ordered_map(lambda block: self._batch(block, medians), blocks, self.threads)

    def _batch(self, block: RowBlock, medians: NDArray[np.float64]) -> TokenBatch:
        X, n = block.X, len(block.rows)
        indptr = X.indptr.astype(np.int64)
        most = np.minimum(np.diff(indptr) + (self._first >= 0), self.max_len)
        found = np.empty(int(most.sum()), np.int32)
        offsets = np.empty(n + 1, np.int64)
        cut, dropped = np.empty(n, np.int32), np.empty(n, np.int32)
        values = None
        if self.style == "rank":
            rank_cells(
                indptr, X.indices, X.data, self._token_of, medians, layout.TARGET_SUM, self.max_len, self._first,
                offsets, found, cut, dropped,
            )  # fmt: skip
        else:
            values = np.empty(len(found), np.int32)
            quantiles = np.linspace(0, 1, self.n_bins - 1)
            bin_cells(
                indptr, X.indices, X.data, self._token_of, block.rows, quantiles, self.ties == "spread", self.seed,
                self.max_len, self._first, offsets, found, values, cut, dropped,
            )  # fmt: skip
            values = values[: offsets[-1]]
        return TokenBatch(block.rows, offsets, found[: offsets[-1]], values, cut, dropped)


def tokens(
    atlas: Atlas, style: Literal["rank", "binned"] = "rank", max_len: int = 2048, cells: Any = None, n_bins: int = 51,
    vocabulary: Naming | Vocabulary = "ids", *, medians: "Mapping[str, float] | pd.Series | None" = None,
    cls: bool = False, ties: Literal["spread", "together"] = "spread", seed: int = 0, threads: int | None = None,
) -> Tokens:  # fmt: skip
    """Make gene tokens of the counts of an atlas, cell by cell.

    ``rank`` is Geneformer's encoding: counts / total × 10,000 / median of the gene, highest first, the first
    ``max_len`` kept. Where two genes are equal, the source's order decides. ``binned`` is scGPT's: the expressed genes
    in the source's order, with the bin, 1 to ``n_bins`` - 1, of each among the quantiles of its cell's non-zero values;
    if they are too many, ``max_len`` of them at random. Bins depend on the order of values only, so that counts give
    the bins that normalised or log-normalised values would.

    Parameters
    ----------
    max_len
        Most tokens of a cell, ``<cls>`` included.
    cells
        Which: positions, a mask, or names of cells; each is given once, in the dataset's order.
    n_bins
        Bins, of which 0 is for ``<cls>`` and padding.
    vocabulary
        ``ids`` or ``symbols`` of all genes of the dataset, or a model's own `Vocabulary`.
    medians
        Of each gene, by its name in the vocabulary, such as those published with a model; where not given,
        `gene_medians` of all cells of the dataset, computed once. For a score on donors held out, give
        ``gene_medians(atlas, train_cells)``.
    cls
        Begin every cell with ``<cls>``.
    ties
        A value that is several quantiles at once gets one of their bins at random (``spread``, as published; it depends
        on ``seed``, cell and gene only) or the highest (``together``).
    seed
        Of ties and of the choice of genes, for ``binned``.
    threads
        All processors where not given.

    Returns
    -------
    Tokens
        An iterable of `TokenBatch`, each of about a thousand cells.

    Raises
    ------
    TitinError
        If the dataset is of kind ``real``, an argument is out of range, or no gene has a token.

    References
    ----------
    Theodoris et al., Nature 618, 616-624 (2023), ``geneformer/tokenizer.py``. Cui et al., Nature Methods 21, 1470-1480
    (2024), ``scgpt/preprocess.py`` (``_digitize`` with ``side="both"``) and ``scgpt/tokenizer/gene_tokenizer.py``.

    Examples
    --------
    >>> for batch in tokens(atlas, "rank"):  # doctest: +SKIP
    ...     input_ids, _ = batch.padded()
    """
    return Tokens(atlas, style, max_len, cells, n_bins, vocabulary, medians, cls, ties, seed, threads)


def _refuse_several(atlas: Any) -> None:
    if isinstance(atlas, Studies) or (isinstance(atlas, Sequence | Mapping) and not isinstance(atlas, str)):
        raise TitinError(
            "tokens are made of one dataset at a time",
            "give each the same vocabulary, and rank medians: for atlas in (a, b): tokens(atlas, vocabulary=…)",
        )


def _check(style: str, max_len: int, n_bins: int, ties: str, cls: bool) -> None:
    if style not in ("rank", "binned"):
        raise TitinError(f"there is no style {style!r}", "give rank or binned")
    if ties not in ("spread", "together"):
        raise TitinError(f"ties cannot be {ties!r}", "give spread or together")
    if max_len < 1 + cls or n_bins < 2:
        raise TitinError(
            f"max_len {max_len} and n_bins {n_bins}", f"give max_len {1 + cls} or more and n_bins 2 or more"
        )
