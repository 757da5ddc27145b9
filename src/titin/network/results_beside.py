"""What `titin network` has left beside a dataset, read as it writes it or refused in a sentence."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pyarrow.parquet as pq

from titin.atlas import Atlas
from titin.dataset import layout
from titin.dataset.checksums import digest_of
from titin.dataset.own_files import check_files
from titin.dataset.shapes import list_of, one_of, optional, real, record, text, whole
from titin.dataset.strict_json import read_json
from titin.errors import TitinError
from titin.files import beside
from titin.network.networks import EDGE_COLUMNS, REGULATOR_COLUMNS, Networks
from titin.network.regulator_activities import Activities
from titin.results import Result

SUFFIX = ".network"
MADE_OF = "made_of"
KINDS: dict[str, type[Result]] = {"activity": Activities, "network": Networks}
_MOST_BYTES, _MOST_ROWS = 256 << 20, 5_000_000
_LARGEST = 1e12  # number that a figure has an axis for; a larger one is taken for missing
_TEXTS = {"regulator", "target", "targets", "cell_type", "protocol", "feature", "donor", "sex", "weights", "contrast"}
_CHANGE = ["effect", "ci_low", "ci_high", "p_value", "adj_p_value"]
_NEEDED = {
    "activity": {
        "table": ["regulator", "cell_type", "protocol", "n_donors", "n_cells", "n_targets", "activity", "rank",
                  "n_donors_tested", *_CHANGE],
        "donors": ["feature", "donor", "cell_type", "n_cells", "mean"],
    },
    "network": {
        "table": EDGE_COLUMNS, "regulators": REGULATOR_COLUMNS,
        "donors": ["regulator", "donor", "cell_type", "protocol", "strength"],
        "evaluation": ["cell_type", "protocol", "weights", "n_reference", "aupr", "aupr_ratio", "early_precision_ratio",
                       "shuffled_aupr", "p_shuffled"],
    },
}  # fmt: skip
_NAMES = {"contrast": text(), "unit": text(), "where": list_of(text()), MADE_OF: text(), "cell_type_level": text()}
_SETTINGS = {
    "activity": record({"activity": text(), "network": text(), "min_cells": real(0)}, _NAMES),
    "network": record({"backend": text(), "n_regulators": whole()}, _NAMES),
}
_TESTS = {
    "activity": record({}),
    "network": record({"not_compared": text(), "notes": list_of(text())}, {"cell_type": text(), "protocol": text()}),
}
_SKIPPED = record({"reason": text()}, {"cell_type": text(), "protocol": text(), layout.N_CELLS: optional(real(0))})
_DOCUMENTS = {
    kind: record(
        {"result": one_of(KINDS[kind].__name__), "settings": _SETTINGS[kind], "tests": list_of(_TESTS[kind]),
         "skipped": list_of(_SKIPPED), "caveat": text(),
         "tables": record({name: record({"file": text(layout.FILE), "rows": whole(0, _MOST_ROWS)})
                           for name in _NEEDED[kind]})},
        {"not_compared": text()},
    )
    for kind in KINDS
}  # fmt: skip
_R = TypeVar("_R", bound=Result)


def name_results(level: str | None) -> str:
    """What the files of a level of cell types are called after.

    Examples
    --------
    >>> name_results("cell type"), name_results(None)
    ('cell_type', 'all')
    """
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in level or "all")


def identify(atlas: Atlas) -> str:
    """Fingerprint of what regulators are computed of: values, genes, obs and the roles of its columns (sha256).

    Projections, and tables that analyses add to a dataset, have no part in it.
    """
    names = atlas.layout
    first = Path(names.expression).stem
    files = {name: told.get("sha256") for name, told in atlas.manifest.files.items()
             if name.startswith(first) or name in (names.sample_metadata, names.feature_metadata)}  # fmt: skip
    return digest_of({"files": files, "roles": atlas.manifest.roles}, default=str)


def read_beside(dataset: Path, kind: str, levels: Iterable[str | None]) -> Result | None:
    """Read what `titin network` has left of a dataset, of the first of some levels of which there is something.

    Parameters
    ----------
    dataset
        Its folder.
    kind
        ``activity`` or ``network``.
    levels
        Names of levels of cell types, that of choice first; None where a dataset has none.

    Returns
    -------
    Activities, Networks or None
        None where there is nothing.

    Raises
    ------
    TitinError
        If what is there is not as the command writes it.
    """
    folder = beside(dataset, SUFFIX)
    for level in levels:
        path = folder / f"{kind}_{name_results(level)}.json"
        try:
            check_files(folder, [path.name])
            document = read_json(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError) as error:
            raise _refuse(path, error) from error
        return _read(path, kind, document)
    return None


def _read(path: Path, kind: str, document: Any) -> Result:
    try:
        _DOCUMENTS[kind](document)
        files = [path.with_name(document["tables"][name]["file"]) for name in _NEEDED[kind]]
        check_files(path.parent, [file.name for file in files])
        for file in files:
            _check_size(file)
        found = KINDS[kind].read(path)
        for name, needed in _NEEDED[kind].items():
            object.__setattr__(found, name, _check_table(getattr(found, name), needed, name))
    except (OSError, ValueError, TitinError) as error:
        raise _refuse(path, error.args[0] if isinstance(error, TitinError) else error) from error
    return found


def _refuse(path: Path, why: object) -> TitinError:
    return TitinError(f"{path.parent.name}/{path.name} is not as `titin network` writes it: {why}",
                      "remove it, or run `titin network` again")  # fmt: skip


def _check_size(file: Path) -> None:
    size = file.stat().st_size
    if size > _MOST_BYTES:
        raise ValueError(f"{file.name} has more than {_MOST_BYTES >> 20} MiB")
    if file.suffix == ".parquet" and (rows := pq.read_metadata(file).num_rows) > _MOST_ROWS:
        raise ValueError(f"{file.name} has {rows:,} rows")


def _check_table(table: pd.DataFrame, needed: list[str], name: str) -> pd.DataFrame:
    """A table whose columns are there, text where names are to be, and numbers or nothing where numbers are."""
    missing = [column for column in needed if column not in table]
    if missing:
        raise ValueError(f"the table {name} has no column {missing[0]}")
    checked = table.copy(deep=False)
    for column in table.columns:
        own = table[column]
        if column in _TEXTS:
            checked[column] = own.astype(str).astype(object)
        elif column in needed or column == "age":
            if pd.api.types.is_bool_dtype(own.dtype) or not (
                pd.api.types.is_numeric_dtype(own.dtype) or own.isna().all()
            ):
                raise ValueError(f"the table {name} has a column {column} that holds no numbers")
            if not pd.api.types.is_integer_dtype(own.dtype):
                values = own.astype(float)
                checked[column] = values.where(values.abs() <= _LARGEST)
            if "p_value" in column and not checked[column].dropna().between(0, 1).all():
                raise ValueError(f"the table {name} has a {column} that is none: not from 0 to 1")
    return checked
