"""What the Hub makes of a folder: its card, the configs in it, and the features of each file."""

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from titin.check.findings import Finding
from titin.check.footer import read_footer
from titin.check.footer_summary import FooterSummary, summarise_footer
from titin.dataset import layout
from titin.errors import DatasetError
from titin.files import read_text

_SIMPLE = {
    pa.null(): "null", pa.bool_(): "bool", pa.float16(): "float16", pa.float32(): "float32", pa.float64(): "float64",
    pa.date32(): "date32", pa.date64(): "date64", pa.binary(): "binary", pa.large_binary(): "large_binary",
    pa.string(): "string", pa.large_string(): "large_string", pa.string_view(): "string_view",
    pa.binary_view(): "binary_view",
    **{t: str(t) for t in (pa.int8(), pa.int16(), pa.int32(), pa.int64(),
                           pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())},
}  # fmt: skip


class NoFeatureError(DatasetError):
    """An Arrow type that the Hub has no feature for; a config with such a column cannot be opened."""

    def __init__(self, arrow: pa.DataType) -> None:
        super().__init__(
            f"the Hub has no feature for columns of the type {arrow}", "store it as text, numbers or lists"
        )
        self.arrow = arrow


def dtype_name(arrow: pa.DataType) -> str:
    """Name that `datasets` gives an Arrow type.

    Raises
    ------
    NoFeatureError
        If it has none.

    Examples
    --------
    >>> dtype_name(pa.dictionary(pa.int32(), pa.string())), dtype_name(pa.timestamp("us"))
    ('string', 'timestamp[us]')
    """
    if pa.types.is_dictionary(arrow):
        return dtype_name(arrow.value_type)
    if arrow in _SIMPLE:
        return _SIMPLE[arrow]
    if pa.types.is_timestamp(arrow):
        return f"timestamp[{arrow.unit}, tz={arrow.tz}]" if arrow.tz else f"timestamp[{arrow.unit}]"
    if pa.types.is_duration(arrow) or pa.types.is_time(arrow):
        return str(arrow)
    if pa.types.is_decimal128(arrow) or pa.types.is_decimal256(arrow):
        return f"decimal{arrow.bit_width}({arrow.precision}, {arrow.scale})"
    if pa.types.is_fixed_size_binary(arrow):
        return f"fixed_size_binary[{arrow.byte_width}]"
    raise NoFeatureError(arrow)


def feature(arrow: pa.DataType) -> dict[str, Any]:
    """Describe a type as the YAML of a dataset card does: ``{"dtype": "int64"}``, ``{"list": "uint16"}``.

    Raises
    ------
    NoFeatureError
        If the Hub has no feature for it.
    """
    if pa.types.is_list(arrow) or pa.types.is_large_list(arrow) or pa.types.is_fixed_size_list(arrow):
        inner = feature(arrow.value_type)
        element = inner["dtype"] if list(inner) == ["dtype"] else inner.get("struct", inner)
        kind = "large_list" if pa.types.is_large_list(arrow) else "list"
        length = {"length": arrow.list_size} if pa.types.is_fixed_size_list(arrow) else {}
        return {kind: element, **length}
    if pa.types.is_struct(arrow):
        return {"struct": [{"name": field.name, **feature(field.type)} for field in arrow]}
    return {"dtype": dtype_name(arrow)}


def features(schema: pa.Schema) -> list[dict[str, Any]]:
    """Describe every column, in order; see `feature`."""
    return [{"name": field.name, **feature(field.type)} for field in schema]


def json_features(schema: pa.Schema) -> list[dict[str, Any]]:
    """Describe every column as the viewer's answers do, whose size it limits."""

    def described(arrow: pa.DataType) -> dict[str, Any]:
        if pa.types.is_struct(arrow):
            return {field.name: described(field.type) for field in arrow}
        if pa.types.is_list(arrow) or pa.types.is_large_list(arrow) or pa.types.is_fixed_size_list(arrow):
            kind = "LargeList" if pa.types.is_large_list(arrow) else "List"
            return {"feature": described(arrow.value_type), "_type": kind}
        return {"dtype": dtype_name(arrow), "_type": "Value"}

    return [{"feature_idx": i, "name": field.name, "type": described(field.type)} for i, field in enumerate(schema)]


def dataset_info(
    name: str, splits: Mapping[str, Sequence[Path]], schema: pa.Schema | None = None,
    footers: Mapping[Path, FooterSummary] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Describe a config as the YAML of a dataset card does (``dataset_info``), computed from its files.

    Parameters
    ----------
    name
        Of the config.
    splits
        Files of each split.
    schema
        Of the first file; read where not given.
    footers
        Those that have been read already.

    Returns
    -------
    dict
        ``config_name``, ``features``, ``splits`` (``name``, ``num_bytes``, ``num_examples``), ``download_size``,
        ``dataset_size``.

    Raises
    ------
    NoFeatureError
        If the Hub has no feature for a column.
    DatasetError
        If a file is damaged.
    """
    files = [path for paths in splits.values() for path in paths]
    schema = schema or pq.read_schema(files[0])
    known = dict(footers or {})
    described = []
    for split, paths in splits.items():
        n_bytes = n_rows = 0
        for path in paths:
            end = known.get(path) or summarise_footer(path, schema, pages=False)
            n_bytes, n_rows = n_bytes + end.arrow_bytes, n_rows + end.n_rows
        described.append({"name": split, "num_bytes": n_bytes, "num_examples": n_rows})
    return {
        "config_name": name, "features": features(schema), "splits": described,
        "download_size": sum(path.stat().st_size for path in files),
        "dataset_size": sum(split["num_bytes"] for split in described),
    }  # fmt: skip


MATTER = re.compile(r"\A\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_SPLIT = re.compile(r"\w+(\.\w+)*")
_FORBIDDEN = set('<>:/\\|?*"')
_AGAIN = "write the card again: titin card"
MOST_CARD = 2**23
"""Bytes of a card; the longest known has a few hundred thousand."""


class DuplicateKeyError(yaml.YAMLError):
    """A key that occurs twice in a YAML mapping."""


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that occurs twice, as the Hub does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        twice = [key for i, key in enumerate(keys) if key in keys[:i]]
        if twice:
            raise DuplicateKeyError(f"the key {twice[0]!r} occurs twice (line {node.start_mark.line + 1} of the block)")
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


@dataclass(frozen=True)
class HubConfig:
    """One config of the card: the files of each split, as the patterns find them."""

    name: str
    splits: Mapping[str, tuple[str, ...]]

    @property
    def files(self) -> tuple[str, ...]:
        """Files of all splits."""
        return tuple(name for names in self.splits.values() for name in names)


@dataclass
class HubCard:
    """A folder as the Hub reads it.

    Attributes
    ----------
    folder
        The dataset.
    text
        Of the card, without the YAML block.
    matter
        The YAML block; empty if it cannot be read.
    problems
        Why the configs cannot be used; empty if they can.
    configs
        Those that can.
    """

    folder: Path
    text: str = ""
    matter: dict[str, Any] = field(default_factory=dict)
    problems: list[Finding] = field(default_factory=list)
    configs: list[HubConfig] = field(default_factory=list)
    _footers: dict[str, FooterSummary] = field(default_factory=dict)
    _schemas: dict[str, pa.Schema] = field(default_factory=dict)

    @cached_property
    def names(self) -> list[str]:
        """Files of the folder that are not hidden, with their folders, sorted."""
        found = (path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file())
        return sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))

    def footer(self, name: str) -> FooterSummary:
        """What the footer of a Parquet file says, read once; its size in Arrow is that by the schema of its config."""
        if name not in self._footers:
            home = next((config for config, own in self.parquet() if own == name), None)
            path = self.folder / name
            try:
                schema = self.schema(name if home is None else home.files[0])
            except DatasetError:
                read_footer(path, take=lambda _: None)  # which says what is wrong with its own
                raise
            self._footers[name] = summarise_footer(path, schema)
        return self._footers[name]

    def schema(self, name: str) -> pa.Schema:
        """Schema of a Parquet file, read once.

        Raises
        ------
        DatasetError
            If it cannot be read.
        """
        if name not in self._schemas:
            try:
                self._schemas[name] = pq.read_schema(self.folder / name)
            except (OSError, pa.ArrowException) as error:
                raise DatasetError(f"{name} cannot be read: {error}", "restore it, or build again") from error
        return self._schemas[name]

    def parquet(self) -> Iterator[tuple[HubConfig, str]]:
        """Each Parquet file of each config."""
        for config in self.configs:
            for name in config.files:
                yield config, name


def read_hub_card(folder: Path) -> HubCard:
    """Read a folder as the Hub would; what is wrong with the card is kept in ``problems``."""
    card = HubCard(Path(folder))
    try:
        whole = read_text(card.folder / layout.CARD, MOST_CARD)
    except (OSError, ValueError) as error:
        card.problems.append(Finding(f"there is no card that can be read: {error}", layout.CARD, _AGAIN))
        return card
    found = MATTER.match(whole)
    card.text = whole[found.end() :] if found else whole
    if found is None:
        card.problems.append(Finding("the card has no YAML block between two lines ---", layout.CARD, _AGAIN))
        return card
    try:
        matter = yaml.load(found[1], _UniqueKeys)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        reason = " ".join(str(error).split())
        card.problems.append(Finding(f"the YAML block cannot be read: {reason}", layout.CARD, _AGAIN))
        return card
    if not isinstance(matter, dict):
        card.problems.append(Finding("the YAML block is no mapping", layout.CARD, _AGAIN))
        return card
    card.matter = matter
    _read_configs(card)
    return card


def _read_configs(card: HubCard) -> None:
    listed = card.matter.get("configs")
    if not isinstance(listed, list) or not listed:
        card.problems.append(Finding("the YAML block lists no configs", layout.CARD, _AGAIN))
        return
    seen: set[str] = set()
    defaults = []
    for entry in listed:
        name = entry.get("config_name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name or _FORBIDDEN & set(name):
            card.problems.append(Finding(f"a config has no usable config_name: {name!r}", layout.CARD, _AGAIN))
            continue
        if name in seen:
            card.problems.append(Finding(f"two configs are called {name!r}", layout.CARD, _AGAIN))
        seen.add(name)
        if entry.get("default") is True or (name == "default" and "default" not in entry):
            defaults.append(name)
        splits = _splits(card, name, entry.get("data_files"))
        if splits:
            card.configs.append(HubConfig(name, splits))
    if len(defaults) != 1:
        which = f"{len(defaults)} default configs ({', '.join(defaults)})" if defaults else "no default config"
        card.problems.append(Finding(f"the card names {which}; the Hub needs exactly one", layout.CARD, _AGAIN))
    _check_membership(card)


def _splits(card: HubCard, config: str, data_files: Any) -> dict[str, tuple[str, ...]]:
    """Resolve the files of each split, noting what cannot be."""
    if isinstance(data_files, str) or (isinstance(data_files, list) and all(isinstance(f, str) for f in data_files)):
        data_files = [{"split": "train", "path": data_files}]
    if not isinstance(data_files, list) or not all(isinstance(f, dict) and "path" in f for f in data_files):
        card.problems.append(Finding(f"config {config!r} has no data_files", layout.CARD, _AGAIN))
        return {}
    splits: dict[str, tuple[str, ...]] = {}
    for entry in data_files:
        split = str(entry.get("split", "train"))
        if not _SPLIT.fullmatch(split):
            card.problems.append(Finding(f"config {config!r}: {split!r} cannot be the name of a split", layout.CARD,
                                         "letters, digits and underscores, parts joined by dots"))  # fmt: skip
        patterns = entry["path"] if isinstance(entry["path"], list) else [entry["path"]]
        files: list[str] = []
        for pattern in patterns:
            matched = [name for name in card.names if fnmatch.fnmatchcase(name, str(pattern))]
            if not matched:
                card.problems.append(Finding(f"config {config!r} names {pattern}, which is not there", str(pattern),
                                             "restore the file, or write the card again: titin card"))  # fmt: skip
            files += [name for name in matched if name not in files]
        if files:
            splits[split] = tuple(files)
    return splits


def _empty(card: HubCard, name: str) -> bool:
    """Whether a table has no rows: `datasets` loads none without, so it goes without a config."""
    try:
        return int(pq.read_metadata(card.folder / name).num_rows) == 0
    except (OSError, pa.ArrowException):
        return False


def _check_membership(card: HubCard) -> None:
    """Note Parquet files that are in no config or in several."""
    homes: dict[str, list[str]] = {}
    for config, name in card.parquet():
        homes.setdefault(name, []).append(config.name)
    for name in card.names:
        if (
            name.endswith(".parquet")
            and len(homes.get(name, [])) != 1
            and not (name not in homes and _empty(card, name))
        ):
            where = f"in the configs {', '.join(homes[name])}" if name in homes else "in no config"
            card.problems.append(Finding(f"{name} is {where}; each Parquet file belongs to one", name, _AGAIN))
