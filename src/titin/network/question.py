"""What is asked of the networks of every type and protocol alike."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from titin.errors import TitinError
from titin.network.metacells import MOST_CELLS, SIZE
from titin.network.prior_network import MIN_TARGETS, PriorNetwork

N_EDGES = 5000
N_BOOTSTRAPS = 20


@dataclass(frozen=True, kw_only=True)
class NetworkQuestion:
    """What is asked of every type and protocol alike.

    Attributes
    ----------
    backend
        Name of what infers: see `titin.network.backends`.
    checkpoint
        Weights of the backend, of ``scprint``.
    contrast
        ``young_old`` or ``age``.
    network
        Known edges; gives the regulators where ``regulators`` does not, and ``prior``.
    regulators
        Symbols of those genes that may regulate; the network's sources where None.
    reference
        Edges to evaluate against; no evaluation where None.
    n_edges, n_bootstraps, permutations
        Edges that are told of, draws of donors, arrangements of ages.
    metacell_size, most_cells
        Cells of a metacell, and of a donor.
    min_cells, min_donors, min_targets
        Of a donor; on either side; of a regulator.
    seed
        Of all that is drawn.
    """

    backend: str = "ridge"
    checkpoint: Path | None = None
    contrast: str = "young_old"
    network: PriorNetwork | None = None
    regulators: tuple[str, ...] | None = None
    reference: PriorNetwork | None = None
    n_edges: int = N_EDGES
    n_bootstraps: int = N_BOOTSTRAPS
    permutations: int = 2000
    metacell_size: int = SIZE
    most_cells: int = MOST_CELLS
    min_cells: int = 10
    min_donors: int = 3
    min_targets: int = MIN_TARGETS
    seed: int = 0

    @property
    def names(self) -> list[str]:
        """Regulators to look for.

        Raises
        ------
        TitinError
            If neither a network nor a list gives any.
        """
        if self.regulators is not None:
            return list(dict.fromkeys(self.regulators))
        if self.network is None:
            raise TitinError("there is nothing that says which genes regulate",
                             "give --network FILE, or a list of genes with --regulators @FILE")  # fmt: skip
        return self.network.sources

    @property
    def document(self) -> dict[str, Any]:
        """All of it, JSON-safe, networks by what is in them."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for name in ("network", "reference", "checkpoint"):
            if told[name] is not None:
                told[name] = told[name].name
        return told
