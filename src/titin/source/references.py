"""Parts of an HDF5 file that lie in other files: refused, or, where that is asked for, found and looked at likewise."""

from pathlib import Path
from typing import Any

import h5py

from titin.errors import SourceError
from titin.source.inventory import FOLLOW, Inventory
from titin.source.reading import DAMAGED, reading
from titin.source.structure import EXTERNAL_STORAGE, VIRTUAL, Reference, Structure, walk

_LOST = "Put that file there, or write this one anew with what it is to hold."


def check_references(path: Path, file: h5py.File, inventory: Inventory) -> Structure:
    """Walk a file, and refuse what leads out of it unless links are to be followed.

    Parameters
    ----------
    path, file
        The file, open.
    inventory
        Says whether links are followed, and is told which files they lead to.

    Returns
    -------
    Structure
        Of the file, with the filters and gaps of all files that it draws on.

    Raises
    ------
    SourceError
        If a part lies in another file, or, where links are followed, is not to be found there.
    """
    structure = walk(path, file)
    if inventory.follow_links:
        _follow(path, file, structure, inventory, {path.resolve()}, structure)
    elif structure.references:
        place, what, named = structure.references[0]
        n = len({reference.place for reference in structure.references})
        others = f" ({n:,} parts of the file are of that kind)" if n > 1 else ""
        target = "the same file" if named == "." else named or "what is not known"
        raise SourceError(f"{path}: {place} is {what} {target}{others}", FOLLOW)
    return structure


def _follow(
    path: Path, file: h5py.File, structure: Structure, inventory: Inventory, seen: set[Path], whole: Structure
) -> None:
    """Look at the files that a file draws on, and those that they draw on, and tell ``whole`` what they are like."""
    for reference in structure.references:
        if reference.file == ".":
            continue
        other = _find(path, reference)
        inventory.links[reference.place] = reference.file
        inventory.add(reference.file, other)
        if reference.what == EXTERNAL_STORAGE or other.resolve() in seen:
            continue
        seen.add(other.resolve())
        with reading(path, reference.place), h5py.File(other, "r") as opened:
            inside = walk(other, opened)
            whole.filters |= inside.filters
            whole.gaps |= {f"{inside_place} of {other}": gap for inside_place, gap in inside.gaps.items()}
            _follow(other, opened, inside, inventory, seen, whole)
    for place in dict.fromkeys(r.place for r in structure.references if r.what == VIRTUAL):
        _check_virtual(path, file, place)


def _find(path: Path, reference: Reference) -> Path:
    """Where HDF5 would look for a file: as it is named, beside the file that names it, in the working directory."""
    named = Path(reference.file)
    if not reference.file or "%" in reference.file:
        said = f"{reference.place} is {reference.what} {reference.file!r}, which cannot be followed"
        raise SourceError(f"{path}: {said}", _LOST)
    beside = [] if reference.what == EXTERNAL_STORAGE else [path.parent / named, path.resolve().parent / named]
    found = next((place for place in (*beside, named) if place.is_file()), None)
    if found is None:
        raise SourceError(f"{path}: {reference.place} is {reference.what} {named}, where no file is", _LOST)
    return found


def _check_virtual(path: Path, file: h5py.File, place: str) -> None:
    """Refuse a virtual dataset of which a part has no source: HDF5 would read its fill value there, and say nothing."""
    with reading(path, place):
        dataset = file[place]
        n_mapped = 0
        for mapping in dataset.virtual_sources():
            other = path if mapping.file_name == "." else _find(path, Reference(place, VIRTUAL, mapping.file_name))
            n_mapped += mapping.vspace.get_select_npoints()
            with h5py.File(other, "r") as opened:
                source = opened.get(mapping.dset_name)
                if not isinstance(source, h5py.Dataset) or source.is_virtual or not _fits(mapping, source):
                    said = f"{path}: {place} is a virtual dataset of {mapping.dset_name} in {other}, which is not there"
                    raise SourceError(f"{said}, too small or virtual itself", _LOST)
        if n_mapped < dataset.size:
            said = f"{path}: {place} is a virtual dataset with sources for {n_mapped:,} of its {dataset.size:,} values"
            raise SourceError(said, DAMAGED)


def _fits(mapping: Any, source: h5py.Dataset) -> bool:
    """Whether a dataset has all the places that a mapping takes of it."""
    taken = mapping.src_space
    if taken.get_select_type() == h5py.h5s.SEL_ALL:
        return bool(mapping.vspace.get_select_npoints() == source.size)
    last = taken.get_select_bounds()[1]
    return len(last) == source.ndim and all(a < n for a, n in zip(last, source.shape, strict=True))
