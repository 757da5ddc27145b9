"""The YAML block at the head of a card, which the Hub reads; written by a YAML library, whatever the names are."""

import re
from typing import Any

import yaml

from titin.check.viewer_features import size_category
from titin.publish.facts import CardFacts
from titin.visible import visible

# numbers and truth values to some reader of YAML, though not to the library that writes it
_AMBIGUOUS = re.compile(r"[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?|0o[0-7]+|0x[0-9a-fA-F]+|[yYnN]")
_ARMS = (("nuc", "snRNA-seq"), ("cell", "scRNA-seq"))


def front_matter(facts: CardFacts) -> str:
    """Return the block, with the lines that enclose it."""
    document = {**described(facts), "configs": configs(facts), "dataset_info": facts.dataset_info}
    return yaml_block(document)


def yaml_block(document: dict[str, Any]) -> str:
    """Return a document as such a block, whatever its texts hold."""
    text = yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=2**20
    )
    return "---\n" + visible(text, keep="\n") + "---\n"


class _Dumper(yaml.SafeDumper):
    """Writes every value out: the Hub's reader need not know references."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """Text that is text to readers of YAML 1.2 as well, with what is hidden written out by its number."""
        style = '"' if visible(text) != text else "'" if _AMBIGUOUS.fullmatch(text) else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)


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
