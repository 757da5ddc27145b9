"""The YAML block of a card, which is all that the Hub reads of it."""

from typing import Any

import yaml

from titin.check.viewer_features import size_category
from titin.publish.facts import Facts

_ARMS = (("nuc", "snRNA-seq"), ("cell", "scRNA-seq"))


def front_matter(facts: Facts) -> str:
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


def described(facts: Facts) -> dict[str, Any]:
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


def tasks(facts: Facts) -> list[str]:
    """Tasks of the Hub's list for which there are labels."""
    labels = facts.cell_types or any(facts.column(role) for role in ("sex", "protocol", "donor"))
    found = ["tabular-classification"] if labels else []
    return found + (["tabular-regression"] if facts.ages is not None else []) + ["feature-extraction"]


def tags(facts: Facts) -> list[str]:
    """Tags: the field's, those that the data show, those of the preset."""
    found = ["biology", "single-cell", "transcriptomics", "gene-expression", "anndata"]
    protocol = facts.column("protocol")
    values = [str(v).lower() for v in facts.counts(protocol).index] if protocol else []
    found += [tag for part, tag in _ARMS if any(part in value for value in values)]
    if facts.synthetic is not None:
        found.append("synthetic")
    return list(dict.fromkeys([*found, *facts.preset.tags]))


def configs(facts: Facts) -> list[dict[str, Any]]:
    """Every table as a config with its files by name; the matrix is the default."""
    return [
        {"config_name": c.name, **({"default": True} if c.name == "expression" else {}),
         "data_files": [{"split": "train", "path": list(c.shards)}]}
        for c in facts.configs
    ]  # fmt: skip
