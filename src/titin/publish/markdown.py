"""Pieces of Markdown."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from titin.check.viewer_features import size_category
from titin.publish.facts import CardFacts


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], numbers: Iterable[int] = ()) -> str:
    """Make a table; columns of ``numbers`` are set to the right.

    Examples
    --------
    >>> print(table(("sex", "cells"), [("F", 2)], numbers=[1]))
    | sex | cells |
    |---|---:|
    | F | 2 |
    """
    right = set(numbers)
    ruler = "".join("|---:" if i in right else "|---" for i in range(len(header))) + "|"
    return "\n".join([_row(header), ruler, *(_row(row) for row in rows)])


def _row(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(escape(cell) for cell in cells) + " |"


def escape(cell: Any) -> str:
    """Text that stays in one cell of a table."""
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(str(cell).split()))


def code(name: Any) -> str:
    """A name as code, whatever is in it."""
    text = str(name).replace("\n", " ")
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def block(language: str, text: str) -> str:
    """A fenced block."""
    return f"```{language}\n{text.strip()}\n```"


def bullets(items: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {' '.join(item.split())}" for item in items)


def section(title: str, *parts: str, level: int = 2) -> str:
    """A section of the parts that are not empty; nothing if all are."""
    kept = [part.strip() for part in parts if part.strip()]
    return "\n\n".join(["#" * level + f" {title}", *kept]) if kept else ""


def percent(part: float, whole: float) -> str:
    """Share, with one decimal."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names, the first few."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


_ARMS = (("nuc", "snRNA-seq"), ("cell", "scRNA-seq"))


def front_matter(facts: CardFacts) -> str:
    """Return the block, with the lines that enclose it."""
    document = {**described(facts), "configs": configs(facts), "dataset_info": facts.dataset_info}
    text = yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=2**20
    )
    return f"---\n{text}---\n"


class _Dumper(yaml.SafeDumper):
    """Writes every value out: the Hub's reader need not know references."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def described(facts: CardFacts) -> dict[str, Any]:
    """What people search the Hub by; without a licence that nobody gave."""
    document: dict[str, Any] = {"pretty_name": facts.title, "language": ["en"]}
    if facts.licence:
        document["license"] = facts.licence
    document |= {
        "size_categories": [size_category(facts.manifest.n_cells)],
        "task_categories": tasks(facts),
        "source_datasets": ["original"],
        "tags": tags(facts),
    }
    return document


def tasks(facts: CardFacts) -> list[str]:
    """Tasks of the Hub's list for which there are labels."""
    labels = facts.cell_types or any(facts.column(role) for role in ("sex", "protocol", "donor"))
    found = ["tabular-classification"] if labels else []
    return found + (["tabular-regression"] if facts.ages is not None else []) + ["feature-extraction"]


def tags(facts: CardFacts) -> list[str]:
    """Tags: the field's, those that the data show, those of the preset."""
    found = ["biology", "single-cell", "transcriptomics", "gene-expression", "anndata"]
    protocol = facts.column("protocol")
    values = [str(v).lower() for v in facts.counts(protocol).index] if protocol else []
    found += [tag for part, tag in _ARMS if any(part in value for value in values)]
    if facts.synthetic is not None:
        found.append("synthetic")
    return list(dict.fromkeys([*found, *facts.texts.tags]))


def configs(facts: CardFacts) -> list[dict[str, Any]]:
    """Every table as a config with its files by name; the matrix is the default."""
    return [
        {"config_name": c.name, **({"default": True} if c.name == "expression" else {}),
         "data_files": [{"split": "train", "path": list(c.shards)}]}
        for c in facts.configs
    ]  # fmt: skip
