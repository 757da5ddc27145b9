"""The structure of an HDF5 file, walked once before anything in it is read: filters, links to other files, gaps."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import h5py

from titin.source.gaps import MissingChunks
from titin.source.reading import DEEPEST, MOST_OBJECTS, UnboundedError, reading, shortened
from titin.source.strings import decode

EXTERNAL_LINK, EXTERNAL_STORAGE = "an external link to", "external storage in"
VIRTUAL = "a virtual dataset of parts of"


class Reference(NamedTuple):
    """A part of a file whose content lies in another one."""

    place: str
    what: str
    file: str


@dataclass
class Structure:
    """What a walk finds.

    Attributes
    ----------
    filters
        HDF5's numbers of the filters that datasets are stored with.
    references
        Parts whose content lies in other files.
    gaps
        Datasets of which chunks are not stored, by place.
    aliased
        Whether something can be reached by several names.
    """

    filters: set[int] = field(default_factory=set)
    references: list[Reference] = field(default_factory=list)
    gaps: dict[str, MissingChunks] = field(default_factory=dict)
    aliased: bool = False


def walk(path: Path, file: h5py.File) -> Structure:
    """Look at every link and dataset of a file, each once; no link is followed and no value read.

    Raises
    ------
    SourceError
        If the structure is damaged, or groups lie in each other without end.
    """
    structure = Structure()
    seen = {h5py.h5o.get_info(file.id).addr}
    waiting = [("", file.id)]
    while waiting:
        place, group = waiting.pop()
        with reading(path, shortened(place) or "the list of its parts"):
            for name, kind, address in _links(group):
                here = f"{place}/{decode(name)}" if place else decode(name)
                if kind != h5py.h5l.TYPE_HARD:
                    structure.references += _leading_away(group, name, kind, here)
                    structure.aliased = True
                elif address in seen:
                    structure.aliased = True
                else:
                    seen.add(address)
                    if len(seen) > MOST_OBJECTS:
                        raise UnboundedError(f"the file has more than {MOST_OBJECTS:,} groups and arrays")
                    node = h5py.h5o.open(group, name)
                    if isinstance(node, h5py.h5d.DatasetID):
                        _note_dataset(structure, node, here)
                    elif isinstance(node, h5py.h5g.GroupID):
                        waiting.append((here, node))
            if place.count("/") >= DEEPEST:
                raise UnboundedError(f"groups lie in groups, more than {DEEPEST} deep")
    return structure


def _links(group: Any) -> list[tuple[bytes, int, int]]:
    """Name, kind and, of a hard link, address of every link in a group."""
    found: list[tuple[bytes, int, int]] = []
    group.links.iterate(lambda name, link: found.append((name, link.type, link.u)), info=True)  # one link for all
    return found


def _leading_away(group: Any, name: bytes, kind: int, place: str) -> Iterator[Reference]:
    """References in a link that is no hard one; a soft link stays in its file."""
    if kind == h5py.h5l.TYPE_EXTERNAL:
        yield Reference(place, EXTERNAL_LINK, decode(group.links.get_val(name)[0]))
    elif kind != h5py.h5l.TYPE_SOFT:
        yield Reference(place, f"a link of the kind {kind}, which only its program knows, to", "")


def _note_dataset(structure: Structure, dataset: Any, place: str) -> None:
    plist = dataset.get_create_plist()
    structure.filters.update(plist.get_filter(i)[0] for i in range(plist.get_nfilters()))
    for i in range(plist.get_external_count()):
        structure.references.append(Reference(place, EXTERNAL_STORAGE, decode(plist.get_external(i)[0])))
    if plist.get_layout() == h5py.h5d.VIRTUAL:
        files = dict.fromkeys(decode(plist.get_virtual_filename(i)) for i in range(plist.get_virtual_count()))
        structure.references += [Reference(place, VIRTUAL, name) for name in files]
    elif not plist.get_external_count():
        n_chunks, n_stored = _count_chunks(dataset, plist)
        if n_stored < n_chunks:
            structure.gaps[place] = MissingChunks(n_chunks - n_stored, n_chunks)


def _count_chunks(dataset: Any, plist: Any) -> tuple[int, int]:
    """Chunks that a dataset has by its shape, and that are stored; one that lies in one piece is one chunk."""
    shape = dataset.shape
    if shape is None or not prod(shape) or plist.get_layout() == h5py.h5d.COMPACT:
        return 0, 0
    if plist.get_layout() != h5py.h5d.CHUNKED:
        return 1, int(dataset.get_storage_size() > 0)
    n_chunks = prod(-(-n // extent) for n, extent in zip(shape, plist.get_chunk(), strict=True))
    return n_chunks, dataset.get_num_chunks()
