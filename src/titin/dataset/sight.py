"""Whether the workers of a cluster see a dataset, and see the same as this process."""

from titin.cluster import Cluster
from titin.dataset.layout import MANIFEST
from titin.dataset.store import Store
from titin.errors import TitinError
from titin.masking import mask


def check_sight(store: Store, cluster: Cluster) -> None:
    """Refuse a cluster of which a worker does not see a dataset.

    Raises
    ------
    TitinError
        Naming the worker.
    """
    for worker, blind in cluster.ask(_blindness, store).items():
        if blind:
            raise TitinError(
                f"worker {worker} does not see the dataset {mask(store.name)} as this machine does: {blind}",
                "put it where all of them find it by the same path, such as a network file system, or give its URL",
            )


def _blindness(store: Store) -> str:
    """What keeps a worker from seeing a dataset; nothing if it does."""
    try:
        store.check(MANIFEST)
    except TitinError as error:
        return str(error.args[0])
    return ""
