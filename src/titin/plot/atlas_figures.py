"""``atlas.plot``: figures of an opened atlas, or a part of it, with columns of obs and genes as colours."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from titin.atlas.annotated import Annotated
from titin.errors import TitinError
from titin.plot.embedding import embedding
from titin.plot.style import noted, synthetic_note

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class AtlasFigures:
    """Figures of an atlas.

    Parameters
    ----------
    atlas
        `titin.Atlas`, or a part of one.

    Examples
    --------
    >>> atlas.plot.umap(color="XIST")  # doctest: +SKIP
    >>> atlas.query('Sex == "F"').plot.umap(color="cell_type", save="women.png")  # doctest: +SKIP
    """

    def __init__(self, atlas: Annotated) -> None:
        self._atlas = atlas

    def embedding(
        self, basis: str, *, color: str | None = None, components: tuple[int, int] = (1, 2), **options: Any
    ) -> "Axes":
        """Draw the cells on two dimensions of an embedding.

        Parameters
        ----------
        basis
            Its key in ``atlas.obsm``, with or without ``X_``.
        color
            A column of obs, or a gene, which is grey where a cell's study did not measure it.
        components
            Which dimensions, from 1.
        options
            As for `titin.plot.embedding`: ``ax``, ``figsize``, ``palette``, ``title``, ``save``, ``labels``, ``size``.

        Returns
        -------
        matplotlib.axes.Axes
            The figure's.

        Raises
        ------
        TitinError
            If there is no such embedding, or it has fewer dimensions.
        UnknownNameError
            If ``color`` is neither a column nor a gene.
        """
        key = next((name for name in (basis, f"X_{basis}") if name in self._atlas.obsm), None)
        if key is None:
            known = ", ".join(self._atlas.obsm) or "none"
            raise TitinError(f"the dataset has no embedding {basis!r}", f"embeddings: {known}; titin embed makes one")
        places = np.asarray(self._atlas.obsm[key])
        if min(components) < 1 or max(components) > places.shape[1]:
            raise TitinError(f"{key} has {places.shape[1]} dimensions, not {components}", "they count from 1")
        x, y = (f"{key.removeprefix('X_').upper()} {component}" for component in components)
        table = pd.DataFrame({x: places[:, components[0] - 1], y: places[:, components[1] - 1]})
        if color is not None:
            known_columns = self._atlas.obs.columns
            values = self._atlas.cell_columns(color)[color] if color in known_columns else self._gene(color)
            table[color] = values.reset_index(drop=True)
        with noted(synthetic_note(self._atlas.synthetic)):
            return embedding(table, x=x, y=y, color=color, **{"title": color, **options})

    def _gene(self, name: str) -> pd.Series:
        """A gene's values; none in cells of studies that did not measure it, which is no zero."""
        values, measured = self._atlas[name], self._atlas.measured_in(name).to_numpy()
        return values if measured.all() else values.where(measured)

    def umap(self, *, color: str | None = None, **options: Any) -> "Axes":
        """Draw ``obsm["X_umap"]``; see `embedding`."""
        return self.embedding("X_umap", color=color, **options)

    def tsne(self, *, color: str | None = None, **options: Any) -> "Axes":
        """Draw ``obsm["X_tsne"]``; see `embedding`."""
        return self.embedding("X_tsne", color=color, **options)

    def pca(self, *, color: str | None = None, **options: Any) -> "Axes":
        """Draw ``obsm["X_pca"]``; see `embedding`."""
        return self.embedding("X_pca", color=color, **options)

    def __repr__(self) -> str:
        return f"figures of {self._atlas.n_obs:,} cells: .umap, .tsne, .pca, .embedding(basis); color=column or gene"
