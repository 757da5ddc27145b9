"""The explorer in a notebook."""

from typing import Any

from titin.explore.server import ExplorerServer
from titin.html import render


class ExplorerFrame:
    """A server of one dataset for as long as the notebook runs; notebooks show its page in a frame.

    Attributes
    ----------
    address
        What a browser opens.
    """

    def __init__(self, server: ExplorerServer, height: int) -> None:
        self._server, self._height = server, height
        self.address = server.address

    def stop(self) -> None:
        """End the server."""
        self._server.stop()

    def __repr__(self) -> str:
        return f"explorer at {self.address}"

    def _repr_html_(self) -> str:
        return render("explorer_frame.html", address=self.address, height=self._height)


def show(dataset: Any, *, height: int = 720) -> ExplorerFrame:
    """Start a server on this machine for a dataset, and return what a notebook shows.

    Parameters
    ----------
    dataset
        A folder or URL as `titin.open` takes it, or an `titin.Atlas`.
    height
        Of the frame, in pixels.

    Raises
    ------
    TitinError
        As `ExplorerServer`.
    """
    store = getattr(dataset, "store", None)
    server = ExplorerServer(dataset if store is None else store.name)
    server.start()
    return ExplorerFrame(server, int(height))
