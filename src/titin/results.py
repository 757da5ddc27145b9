"""Results: tables that know how they were made, written beside a JSON and read back whole."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, fields
from pathlib import Path
from typing import Any, Self, get_type_hints

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from titin.dataset.parquet_sink import save_parquet
from titin.dataset.strict_json import read_json
from titin.dataset.swap import whole, write_json
from titin.errors import OutputError, TitinError
from titin.files import TABLE_FORMATS, check_regular
from titin.spreadsheet import neutral, neutral_table, restored_table
from titin.text import json_safe

_SCHEMA_VERSION = 2
_SHOWN = 5  # rows in a notebook
_OWN = ("schema_version", "result", "tables")  # of the JSON, beside the fields of the result


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """A table and what it rests on.

    Subclasses add fields: further tables (annotated ``pd.DataFrame``), and what JSON can hold. Values that JSON cannot
    hold as they are (numpy's, tuples, NaN) are made so when a result is made, so that it is equal to itself read back.

    Attributes
    ----------
    table
        The main table. As of all tables, its index is kept where it has a name, and else taken for row numbers.
    settings
        What it was computed with: method, formula, thresholds.
    """

    table: pd.DataFrame
    _: KW_ONLY
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, frame in self.tables().items():
            if not isinstance(frame, pd.DataFrame):
                raise TitinError(f"{type(self).__name__}.{name} is no table but {type(frame).__name__}",
                                 "give a pandas DataFrame")  # fmt: skip
        for name, value in self.document().items():
            object.__setattr__(self, name, json_safe(value))

    def __repr__(self) -> str:
        tables = (f"{name}: {len(frame):,} × {frame.shape[1]}" for name, frame in self.tables().items())
        return f"{type(self).__name__}({', '.join(tables)})"

    def _repr_html_(self) -> str:
        from titin.html import notebook

        told = {name: str(value) for name, value in self.settings.items() if isinstance(value, str | int | float)}
        shown = self.table.head(_SHOWN)
        named = shown if self.table.index.name is None else shown.reset_index()
        more = len(self.table) - len(shown)
        parts = [(name, [value]) for name, value in told.items()]
        return notebook(
            repr(self), parts, columns=[str(name) for name in named.columns],
            rows=[[_short(value) for value in row] for row in named.itertuples(index=False)],
            rest=f"{more:,} more rows in .table" if more > 0 else "",
        )  # fmt: skip

    @classmethod
    def table_names(cls) -> tuple[str, ...]:
        """Names of all tables, the main one first."""
        return _frames(cls)

    def tables(self) -> dict[str, pd.DataFrame]:
        """All tables by name, the main one first."""
        return {name: getattr(self, name) for name in _frames(type(self))}

    def document(self) -> dict[str, Any]:
        """All that is no table, JSON-safe."""
        return {name: getattr(self, name) for name in _values(type(self))}

    @classmethod
    def files(cls, path: Path | str, *, csv: bool = False) -> list[Path]:
        """Paths that `write` writes: the main table, the other tables, likewise as CSV if asked for, the JSON."""
        main = _check_format(Path(path))
        others = [name for name in _frames(cls) if name != "table"]
        tables = [main, *(main.with_name(f"{main.stem}_{name}{main.suffix}") for name in others)]
        more = [table.with_suffix(".csv") for table in tables] if csv and main.suffix != ".csv" else []
        return [*tables, *more, main.with_suffix(".json")]

    def write(self, path: Path | str, *, csv: bool = False, force: bool = False) -> list[Path]:
        """Write the main table to a file, other tables beside it (``STEM_NAME``), and a JSON (``STEM.json``).

        Parameters
        ----------
        path
            Of the main table; its ending says the format, ``.parquet`` (lossless) or ``.csv`` (for spreadsheets: text
            that they would compute has an apostrophe before it, which `read` takes off).
        csv
            Write each table as CSV, too, beside the Parquet file from which `read` takes it.
        force
            Replace what is there.

        Returns
        -------
        list of Path
            All files, the JSON last.

        Raises
        ------
        OutputError
            If one of the files is there and ``force`` is not given, or they cannot be written.
        TitinError
            If the path ends otherwise.
        """
        paths = self.files(path, csv=csv)
        if not force:
            refuse_existing(paths)
        tables = self.tables()
        told = {name: _describe(frame, file) for (name, frame), file in zip(tables.items(), paths, strict=False)}
        try:
            for frame, path in zip([*tables.values()] * 2, paths[:-1], strict=False):
                with whole(path) as file:
                    _write_table(frame, file, file.suffix)
            own = dict(zip(_OWN, (_SCHEMA_VERSION, type(self).__name__, told), strict=True))
            write_document(paths[-1], {**own, **self.document()})
        except OSError as error:
            raise OutputError(f"{paths[0]} cannot be written: {error}", "give another path") from error
        return paths

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read what `write` has written, by the path of the main table or of the JSON.

        Raises
        ------
        TitinError
            If a file is missing or damaged, or they hold another kind of result.
        """
        path = Path(path)
        document = _read_json(path.with_suffix(".json"), path)
        kind = cls._kinds().get(str(document.get("result")))
        if kind is None:
            raise TitinError(f"{path} holds {document.get('result') or 'no result'}, not {cls.__name__}",
                             "read it as what it is")  # fmt: skip
        try:
            tables = {name: _read_table(path.with_name(told["file"]), told) for name, told in
                      document["tables"].items()}  # fmt: skip
            own: dict[str, Any] = {**tables, **{name: document[name] for name in _values(kind) if name in document}}
            return kind(**own)
        except (OSError, AttributeError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
            raise TitinError(f"the result at {path} cannot be read: {error}", "compute it anew") from error

    @classmethod
    def _kinds(cls) -> dict[str, type[Self]]:
        """Classes that can be read as this one, by name."""
        found: dict[str, type[Self]] = {cls.__name__: cls}
        for own in cls.__subclasses__():
            found |= own._kinds()
        return found


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write_document(path: Path, document: Any) -> None:
    """Write a document of results as strict JSON, whole or not at all: NaN, infinity and what is missing as null."""
    write_json(path, json_safe(document))


def refuse_existing(paths: list[Path]) -> None:
    """Refuse to write where something is.

    Raises
    ------
    OutputError
        Naming the first file that is there.
    """
    there = next((path for path in paths if path.exists()), None)
    if there is not None:
        raise OutputError(f"{there} is there already", "give --force to replace it, or another --output")


def _frames(kind: type[Result]) -> tuple[str, ...]:
    """Fields that are tables, in order."""
    hints = get_type_hints(kind)
    return tuple(own.name for own in fields(kind) if hints[own.name] is pd.DataFrame)


def _values(kind: type[Result]) -> tuple[str, ...]:
    """Fields that JSON holds, in order."""
    return tuple(own.name for own in fields(kind) if own.name not in _frames(kind))


def _check_format(path: Path) -> Path:
    if path.suffix.removeprefix(".") not in TABLE_FORMATS:
        raise TitinError(f"{path} ends neither in .parquet nor in .csv", "name the file so")
    return path


def _describe(frame: pd.DataFrame, file: Path) -> dict[str, Any]:
    told: dict[str, Any] = {"file": file.name, "rows": len(frame)}
    if frame.index.name is not None:
        told["index"] = frame.index.name
        frame = frame.reset_index()
    if file.suffix == ".csv":  # which knows of no types
        told["types"] = {str(c): str(frame[c].dtype) for c in frame}
        told["categories"] = {str(c): json_safe(list(frame[c].cat.categories)) for c in frame
                              if isinstance(frame[c].dtype, pd.CategoricalDtype)}  # fmt: skip
    return told


def _write_table(frame: pd.DataFrame, path: Path, suffix: str) -> None:
    frame = frame if frame.index.name is None else frame.reset_index()
    table = pa.Table.from_pandas(neutral_table(frame) if suffix == ".csv" else frame, preserve_index=False)
    if suffix == ".parquet":
        save_parquet(table, path)
        return
    plain = [column.cast(pa.string()) if pa.types.is_dictionary(column.type) or pa.types.is_null(column.type)
             else column for column in table.columns]  # fmt: skip
    pyarrow.csv.write_csv(pa.table(plain, names=table.column_names), path)


def _read_json(path: Path, given: Path) -> dict[str, Any]:
    try:
        document = read_json(path)
    except FileNotFoundError:
        raise TitinError(
            f"{given} has no {path.name} beside it, which says how it was made",
            "give what was written by .write(), or by titin",
        ) from None
    except (OSError, ValueError) as error:
        raise TitinError(f"{path} cannot be read: {error}", "compute the result anew") from error
    return document if isinstance(document, dict) else {}


def _read_table(path: Path, told: Mapping[str, Any]) -> pd.DataFrame:
    check_regular(path)
    if path.suffix == ".parquet":
        frame: pd.DataFrame = pq.read_table(path).to_pandas()
    else:
        types = {neutral(name): _arrow_type(dtype) for name, dtype in told["types"].items()}
        options = pyarrow.csv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=True,
                                             quoted_strings_can_be_null=False)  # fmt: skip
        # a missing value alone makes an empty line
        lines = pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
        frame = pyarrow.csv.read_csv(path, parse_options=lines, convert_options=options).to_pandas()
        frame = restored_table(frame)
        for name, dtype in told["types"].items():
            categories = told["categories"].get(name)
            frame[name] = frame[name].astype(dtype if categories is None else pd.CategoricalDtype(categories))
    if len(frame) != told["rows"]:
        raise ValueError(f"{path.name} has {len(frame):,} rows, not the {told['rows']:,} that were written with it")
    return frame.set_index(told["index"]) if "index" in told else frame


def _arrow_type(dtype: str) -> pa.DataType:
    name = dtype.lower()
    if name == "bool":
        return pa.bool_()
    return pa.type_for_alias(name) if name.startswith(("int", "uint", "float")) else pa.string()
