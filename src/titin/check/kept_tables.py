"""Tables that an analysis keeps in a dataset, all or none of them, and what they say of how they were made."""

from collections.abc import Callable, Sequence
from typing import Any

from titin.check.dataset import CheckedDataset
from titin.check.findings import Finding, Outcome
from titin.dataset.shapes import ShapeError
from titin.dataset.strict_json import parse_json


def read_told(
    dataset: CheckedDataset, files: Sequence[str], key: bytes, shape: Callable[[Any], object], what: str, again: str
) -> dict[str, Any] | Outcome:
    """Read how tables were made, which the first of them tells.

    Parameters
    ----------
    files
        Of the tables.
    key
        Of the metadata of the first, under which it stands as JSON.
    shape
        Raises `ShapeError` for what is not told as it should be.
    what, again
        What the tables tell of, and what makes them anew.

    Returns
    -------
    dict or Outcome
        What is told; or the outcome of the check, where there are no tables, not all of them, or they do not tell.
    """
    missing = [name for name in files if name not in dataset.manifest.files]
    if len(missing) == len(files):
        return Outcome(skipped=f"{what} kept in the dataset")
    if missing:
        return Outcome([Finding("a table is missing that goes with others which are there", missing[0], again)])
    try:
        metadata = dataset.atlas.store.parquet(files[0]).schema_arrow.metadata or {}
        told: dict[str, Any] = parse_json(metadata.get(key, b"{}"))
        shape(told)
    except (ValueError, ShapeError, UnicodeDecodeError) as error:
        return Outcome([Finding(f"it does not say how it was made: {error}", files[0], again)])
    return told
