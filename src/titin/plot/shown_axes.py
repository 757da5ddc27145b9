"""Axes that a notebook shows as a picture."""

import io

from matplotlib.axes import Axes


class ShownAxes(Axes):
    """An Axes whose figure appears in a notebook, though no pyplot knows of it."""

    def _repr_png_(self) -> bytes:
        """The picture, for IPython."""
        picture = io.BytesIO()
        self.figure.canvas.print_figure(picture, format="png")
        return picture.getvalue()
