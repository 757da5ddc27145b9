"""Corruptions that the Hub's viewer would trip over."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from mutations import Mutation, edit_card, edit_table, names, path_of

from titin.dataset import layout
from titin.dataset.manifest import Manifest, describe_file
from titin.publish.card import make_card

Change = Callable[[pa.Table], pa.Table]


def rewrite_card(folder: Path) -> None:
    """Describe the files as they are now, and write the card from them."""
    manifest = Manifest.read(folder)
    manifest.files = {name: describe_file(folder / name) for name in manifest.files if (folder / name).is_file()}
    text = make_card(folder, manifest)
    (folder / layout.CARD).write_text(text, "utf-8")
    manifest.files[layout.CARD] = describe_file(folder / layout.CARD)
    manifest.write(folder)


def in_card(old: str, new: str) -> Callable[[Path], None]:
    """Write the card, then replace a text of it."""

    def corrupt(folder: Path) -> None:
        rewrite_card(folder)
        edit_card(folder, old, new)

    return corrupt


def in_card_pattern(pattern: str, new: str) -> Callable[[Path], None]:
    """Write the card, then replace the first text that a pattern finds."""

    def corrupt(folder: Path) -> None:
        rewrite_card(folder)
        path = folder / layout.CARD
        text, n = re.subn(pattern, new, path.read_text("utf-8"), count=1)
        assert n == 1, pattern
        path.write_text(text, "utf-8")

    return corrupt


def in_table(part: str, change: Change, *, card: bool = True) -> Callable[[Path], None]:
    """Change a table, and write the card of what it is then."""

    def corrupt(folder: Path) -> None:
        edit_table(folder, part, change)
        if card:
            rewrite_card(folder)

    return corrupt


def plain(part: str, change: Change, **options: object) -> Callable[[Path], None]:
    """Write a table by plain pyarrow, with or without what the format asks for; the card stays as it was."""

    def corrupt(folder: Path) -> None:
        path = path_of(folder, part)
        pq.write_table(change(pq.read_table(path)), path, **options)

    return corrupt


def with_column(name: str, values: Callable[[int], pa.Array]) -> Change:
    """Append a column."""
    return lambda table: table.append_column(name, values(table.num_rows))


def zeros_and_ones(n: int) -> pa.Array:
    return pa.array(np.arange(n) % 2)


def infinite(n: int) -> pa.Array:
    return pa.array(np.where(np.arange(n) == 3, np.inf, 1.5))


def one_value(n: int) -> pa.Array:
    return pa.array([2.5] + [None] * (n - 1), pa.float64())


def maps(n: int) -> pa.Array:
    return pa.array([[("a", 1)]] * n, pa.map_(pa.string(), pa.int64()))


def pairs(n: int) -> pa.Array:
    return pa.array([[1.0, 2.0]] * n, pa.list_(pa.float64(), 2))


def two_lengths(n: int) -> pa.Array:
    return pa.array([f"text {i:03d}" + "x" * (i % 2) for i in range(n)])


def many_columns(table: pa.Table) -> pa.Table:
    extra = {f"extra{i}": pa.array(np.full(table.num_rows, i, np.float32)) for i in range(1001 - table.num_columns)}
    for name, values in extra.items():
        table = table.append_column(name, values)
    return table


def long_names(table: pa.Table) -> pa.Table:
    for i in range(500):
        name = f"{i:03d}" + "n" * 397
        table = table.append_column(name, pa.array(np.zeros(table.num_rows, np.float32)))
    return table


def stray(folder: Path) -> None:
    shutil.copy(path_of(folder, "X_umap"), folder / "copy.parquet")


def twice(folder: Path) -> None:
    rewrite_card(folder)
    umap, pca = path_of(folder, "X_umap").name, path_of(folder, "X_pca").name
    edit_card(folder, f"    - {pca}\n", f"    - {pca}\n    - {umap}\n")


def other_shard(folder: Path) -> None:
    manifest = Manifest.read(folder)
    last = manifest.shards(names(folder).sample_metadata)[-1]
    table = pq.read_table(folder / last)
    pq.write_table(table.rename_columns([*table.column_names[:-1], "other"]), folder / last)


def images(folder: Path) -> None:
    for i in range(10):
        (folder / f"plot{i}.png").write_bytes(b"\x89PNG")


def same(table: pa.Table) -> pa.Table:
    return table


META = "sample_metadata"
MUTATIONS = [
    Mutation("no YAML block in the card", "viewer.configs", r"README\.md: the card has no YAML block",
             in_card_pattern(r"\A---\n", "")),
    Mutation("broken YAML in the card", "viewer.configs", r"the YAML block cannot be read",
             in_card("language:\n", "language: [\n")),
    Mutation("a key twice in the card's YAML", "viewer.configs", r"the key 'pretty_name' occurs twice",
             in_card("language:\n", "pretty_name: again\nlanguage:\n")),
    Mutation("no default config", "viewer.configs", r"no default config", in_card("  default: true\n", "")),
    Mutation("two default configs", "viewer.configs", r"2 default configs \(expression, panel\)",
             in_card("- config_name: panel\n", "- config_name: panel\n  default: true\n")),
    Mutation("another default config", "viewer.configs", r"the default config is 'panel'",
             lambda f: (in_card("  default: true\n", "")(f),
                        edit_card(f, "- config_name: panel\n", "- config_name: panel\n  default: true\n"))[0]),
    Mutation("a config without a name", "viewer.configs", r"a config has no usable config_name",
             in_card("- config_name: panel\n  data_files", "- data_files")),
    Mutation("a split whose name has a dash", "viewer.configs", r"'train-1' cannot be the name of a split",
             in_card("split: train\n", "split: train-1\n")),
    Mutation("a config whose file is gone", "viewer.configs", r"names no_such\.parquet, which is not there",
             in_card_pattern(r"    - \S+_panel\.parquet", "    - no_such.parquet")),
    Mutation("a Parquet file in no config", "viewer.configs", r"copy\.parquet is in no config", stray),
    Mutation("a Parquet file in two configs", "viewer.configs", r"X_umap\.parquet is in the configs", twice),
    Mutation("a wrong row count in the card's YAML", "viewer.dataset_info",
             r"'expression' says num_examples: 241; the files have 240",
             in_card("num_examples: 240", "num_examples: 241")),
    Mutation("a wrong size in the card's YAML", "viewer.dataset_info", r"'expression' says num_bytes: 7;",
             in_card_pattern(r"num_bytes: \d+", "num_bytes: 7")),
    Mutation("a wrong type in the card's YAML", "viewer.dataset_info",
             r"'expression' does not describe the columns of its files \(first: source_row\)",
             in_card("- name: source_row\n    dtype: int64", "- name: source_row\n    dtype: int32")),
    Mutation("a column that the card's YAML lacks", "viewer.dataset_info",
             r"'sample_metadata' does not describe the columns of its files \(first: extra\)",
             lambda f: (rewrite_card(f), in_table(META, with_column("extra", zeros_and_ones), card=False)(f))[0]),
    Mutation("a shard with another column", "viewer.dataset_info", r"-0000\d-of-\d+\.parquet: .*other \(", other_shard,
             dataset="sharded"),
    Mutation("1,001 columns", "viewer.columns", r"config 'sample_metadata' has 1,001 columns",
             in_table(META, many_columns)),
    Mutation("a name of 501 characters", "viewer.columns", r"a column's name has 501 characters",
             in_table(META, with_column("n" * 501, zeros_and_ones))),
    Mutation("two names that differ in case", "viewer.columns", r"columns 'score' and 'Score' differ in case alone",
             in_table(META, with_column("Score", infinite))),
    Mutation("a column x.length beside x", "viewer.columns",
             r"columns 'score' and 'score\.length': search and filter fail",
             in_table(META, with_column("score.length", zeros_and_ones))),
    Mutation("pandas' nameless index as a column", "viewer.columns", r"a column is called __index_level_0__",
             in_table(META, with_column("__index_level_0__", zeros_and_ones))),
    Mutation("descriptions of columns above 200 kB", "viewer.columns",
             r"the description of the columns of .* takes 2\d\d,",
             in_table(META, long_names)),
    Mutation("a map column", "viewer.types",
             r"column tags: 'tags' has type map<string, int64.*breaks the whole config",
             plain(META, with_column("tags", maps))),
    Mutation("a list of fixed size", "viewer.types", r"column pair: 'pair' is fixed_size_list<.*: no statistics",
             plain(META, with_column("pair", pairs))),
    Mutation("a file without an offset index", "viewer.pages",
             r"X_umap\.parquet: \d+ column chunks have no offset index",
             plain("X_umap", same, write_page_index=False)),
    Mutation("an integer column of 0 and 1", "viewer.statistics", r"column flag: 'flag' is 0 or 1 alone",
             in_table(META, with_column("flag", zeros_and_ones))),
    Mutation("an infinite value", "viewer.statistics", r"column ratio: 'ratio' has infinite values",
             in_table(META, with_column("ratio", infinite))),
    Mutation("a column of one value", "viewer.statistics", r"column rare: 'rare' has a single value",
             in_table(META, with_column("rare", one_value))),
    Mutation("texts of two adjacent lengths", "viewer.statistics",
             r"column note: 'note' has texts of 8 or 9 characters",
             in_table(META, with_column("note", two_lengths))),
    Mutation("labels that are nearly all different", "viewer.categories", r"'note' has 240 labels in 240 rows",
             in_table(META, lambda t: t.append_column("note", two_lengths(t.num_rows).dictionary_encode()))),
    Mutation("a file not chunked by content", "viewer.chunking", r"X_umap\.parquet: the file is not chunked by content",
             plain("X_umap", lambda t: t.replace_schema_metadata(None), write_page_index=True)),
    Mutation("a CSV file beside the dataset", "viewer.other_files", r"notes\.csv is in no config",
             lambda f: (f / "notes.csv").write_text("a,b\n", "utf-8") and None),
    Mutation("ten pictures beside the dataset", "viewer.other_files", r"10 images", images),
    Mutation("a wrong size category", "viewer.metadata", r"size_categories says \['1M<n<10M'\]; 240 cells are n<1K",
             in_card("- n<1K", "- 1M<n<10M")),
    Mutation("no tags", "viewer.metadata", r"the card's YAML has no tags", in_card("tags:\n", "marks:\n")),
    Mutation("a card silent about search", "viewer.search_hint", r"search drops digits", in_card("digits", "numbers")),
    Mutation("a type that `datasets` cannot open", "viewer.load", r"`datasets` does not open 'sample_metadata'",
             lambda f: (rewrite_card(f), plain(META, with_column("tags", maps))(f))[0]),
    Mutation("rows that the card does not count", "viewer.load", r"`datasets` does not open 'panel': .*Splits",
             in_card_pattern(r"(config_name: panel\n  features:(?:.|\n)*?num_examples: )240", r"\g<1>99")),
]  # fmt: skip
