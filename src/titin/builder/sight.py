"""Whether the workers of a cluster see what a build reads: its source, and the folder in which it works."""

import secrets
from pathlib import Path

from titin.builder.workspace import Workspace
from titin.cluster import Cluster
from titin.errors import TitinError
from titin.source import Source
from titin.source.inventory import Inventory

_TOKEN = "sight"


def check_sight(cluster: Cluster, source: Source, workspace: Workspace) -> None:
    """Refuse a cluster of which a worker does not see the source, or the folder beside the output.

    Raises
    ------
    TitinError
        Naming the worker.
    """
    if isinstance(source.inventory, Inventory):
        for worker, blind in cluster.ask(_blindness, source.inventory.from_anywhere()).items():
            if blind:
                raise TitinError(
                    f"worker {worker} does not see {source.path} as this machine does: {blind}",
                    "put it where all of them find it by the same path, such as a network file system",
                )
    token, said = workspace.work / _TOKEN, secrets.token_hex()
    token.write_text(said, "ascii")
    try:
        for worker, found in cluster.ask(_read, token).items():
            if found != said:
                raise TitinError(
                    f"worker {worker} does not see {workspace.folder}, where the dataset is built",
                    "choose an --output that all of them find by the same path, such as on a network file system; "
                    "what is sent to a URL is built in the folder that TITIN_CACHE names",
                )
    finally:
        token.unlink(missing_ok=True)


def _blindness(inventory: Inventory) -> str:
    """What keeps a worker from seeing a source as it was when it was opened; nothing if it does."""
    return inventory.difference()


def _read(path: Path) -> str:
    """The text of a file, on a worker; nothing where there is none."""
    try:
        return path.read_text("ascii")
    except OSError:
        return ""
