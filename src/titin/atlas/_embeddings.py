"""``atlas.obsm``: the embeddings by name."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from titin.atlas.tables import read_embedding

if TYPE_CHECKING:
    from titin.atlas.atlas import Atlas


class Embeddings(Mapping[str, Any]):
    """Embeddings of the cells, each read when asked for and not kept.

    ``embeddings[key]`` is a numpy array (cells × dimensions) in the source's dtype, or a DataFrame where the source
    had one.
    """

    def __init__(self, atlas: "Atlas") -> None:
        self._atlas = atlas

    def __getitem__(self, key: str) -> Any:
        if key not in self._atlas.manifest.obsm:
            raise KeyError(key)
        return read_embedding(self._atlas.store, key, self._atlas.obs_names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._atlas.manifest.obsm)

    def __len__(self) -> int:
        return len(self._atlas.manifest.obsm)

    def __repr__(self) -> str:
        return f"Embeddings with keys: {', '.join(self)}"
