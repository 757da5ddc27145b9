"""What of a source is read, as its user chose."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from titin.errors import SourceError

NOT_CHOSEN = "not among those that were chosen"
LEFT_OUT = "left out as was asked for"
ALL = "all"


@dataclass(frozen=True)
class Choice:
    """What of a source is read.

    Attributes
    ----------
    layer
        Take this layer for X (of a 10x file from before CellRanger 3: the genome).
    raw
        Take raw/X for X, and its genes.
    make_unique
        Append ``-1``, ``-2``, … to names of cells and genes that repeat, as anndata does, instead of refusing them.
    obs, no_obs
        Columns of obs to read, all where None; and columns not to read.
    obsm, no_obsm
        Likewise the keys of obsm. A text may also name several, with commas between.
    layers
        Layers to read beside X; ``all`` for each there is.
    with_raw
        Read raw/X beside X.
    modalities
        Other modalities to read beside that of genes; ``all`` for each there is.
    keep_all
        Read arrays of genes and what lies between cells or genes, too, and where none are named, all layers, raw and
        all modalities that there are.
    """

    layer: str | None = None
    raw: bool = False
    make_unique: bool = False
    obs: Sequence[str] | None = None
    no_obs: Sequence[str] = ()
    obsm: Sequence[str] | None = None
    no_obsm: Sequence[str] = ()
    layers: Sequence[str] = ()
    with_raw: bool = False
    modalities: Sequence[str] = ()
    keep_all: bool = False

    def columns(self, path: Path, known: Sequence[str], left_out: dict[str, str]) -> list[str]:
        """Columns of obs that are read, in their order; the others are noted in ``left_out``.

        Raises
        ------
        SourceError
            If one that was named is not there.
        """
        return _pick(path, "obs", self.obs, self.no_obs, known, left_out)

    def keys(self, path: Path, known: Sequence[str], left_out: dict[str, str]) -> list[str]:
        """Keys of obsm that are read; as `columns`."""
        return _pick(path, "obsm", self.obsm, self.no_obsm, known, left_out)

    def beside(self, path: Path, known: Sequence[str]) -> list[str]:
        """Layers that are read beside X, of those there are.

        Raises
        ------
        SourceError
            If one that was named is not there, or is X, or the layers have other genes than X.
        """
        if self.raw and self.with_raw:
            raise SourceError(f"{path}: --raw has made raw X already", "Leave --with-raw away.")
        if self.raw and self.layers:
            raise SourceError(f"{path}: layers have the genes of X, and --raw those of raw",
                              "Leave --raw away, and keep raw beside X with --with-raw.")  # fmt: skip
        wanted = ALL if self.keep_all and not self.layers and not self.raw else self.layers
        found = _asked(path, "layers", wanted, known)
        if self.layer in found and ALL not in wanted:
            raise SourceError(f"{path}: --layer has made {self.layer!r} X already", "Leave it out of --layers.")
        return [name for name in found if name != self.layer]

    def other_modalities(self, path: Path, known: Sequence[str]) -> list[str]:
        """Modalities that are read beside that of genes, of those there are.

        Raises
        ------
        SourceError
            If one that was named is not there.
        """
        return _asked(path, "modalities", ALL if self.keep_all and not self.modalities else self.modalities, known)


def _asked(path: Path, option: str, asked: Sequence[str], known: Sequence[str]) -> list[str]:
    """Those of the names there are that were asked for: by name, or all of them."""
    texts = [asked] if isinstance(asked, str) else list(asked)
    named = _named(path, f"--{option}", option, [text for text in texts if text != ALL], known)
    return [name for name in known if ALL in texts or name in named]


def _pick(
    path: Path, option: str, taken: Sequence[str] | None, left: Sequence[str], known: Sequence[str],
    left_out: dict[str, str],
) -> list[str]:  # fmt: skip
    chosen = set(known) if taken is None else set(_named(path, f"--{option}", option, taken, known))
    dropped = set(_named(path, f"--no-{option}", option, left, known))
    for name in known:
        if name in dropped:
            left_out[f"{option}/{name}"] = LEFT_OUT
        elif name not in chosen:
            left_out[f"{option}/{name}"] = NOT_CHOSEN
    return [name for name in known if name in chosen - dropped]


def _named(path: Path, option: str, place: str, texts: Iterable[str], known: Sequence[str]) -> list[str]:
    """Names from texts such as ``a,b``; one with a comma in it may stand as it is."""
    names = []
    for text in [texts] if isinstance(texts, str) else texts:
        names += [text] if text in known else [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3, 0.5)
            hint = f"Did you mean {', '.join(near)}?" if near else f"There are {', '.join(known) or 'none'}."
            raise SourceError(f"{path}: {option} names {name!r}, which is not in {place}", hint)
    return names


OPTIONS = tuple(field.name for field in fields(Choice))
"""Names of what can be chosen, as `titin.source.open_source` takes it."""
