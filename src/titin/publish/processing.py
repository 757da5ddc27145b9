"""``data_processing.py``: the script that makes a dataset again from its source, byte for byte."""

import pprint
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from titin.dataset import layout
from titin.dataset.manifest import Manifest
from titin.embed.methods import METHODS
from titin.presets import preset_names

FILE = "data_processing.py"
_WIDTH = 110
_ARGUMENTS = (
    "layer",
    "raw",
    "make_unique",
    "obs",
    "no_obs",
    "obsm",
    "layers",
    "with_raw",
    "modalities",
    "keep_all",
    "no_obsm",
    "tissue",
    "method",
    "seed",
    "shuffle",
    "age_unit",
    "allow_negative",
    "project",
)  # settings that are arguments of titin.build by the same name
_SCRIPT = '''"""Make a dataset again from its source, byte for byte.

    python {file} SOURCE OUTPUT [TABLE …]

SOURCE is the atlas of SOURCE_SHA256, OUTPUT a folder that is not there yet, and TABLES are those of the same names.
The files of FILES are then compared. With other versions of titin, or of the libraries that titin.json names, bytes
may differ where values do not.
"""

import hashlib
import sys
from pathlib import Path

import titin

TITIN = {titin}
SOURCE = {source}
SOURCE_SHA256 = {sha256}
TABLES = {tables}
SETTINGS = {settings}
FILES = {files}


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_other(path: Path, wanted: str | None) -> None:
    if wanted is not None and path.is_file() and sha256(path) != wanted:
        sys.exit(f"{{path}} is not the file that the dataset was made from: its sha256 is {{sha256(path)}}")


def main(source: str, output: str, *given: str) -> None:
    tables = {{Path(path).name: path for path in given}}
    if missing := [name for name in TABLES if name not in tables]:
        sys.exit(f"give as well: {{', '.join(missing)}}")
    refuse_other(Path(source), SOURCE_SHA256)
    for name, path in tables.items():
        refuse_other(Path(path), TABLES.get(name))
    if titin.__version__ != TITIN:
        print(f"this is titin {{titin.__version__}}; the dataset was made by {{TITIN}}", file=sys.stderr)
{steps}
    differ = [name for name, wanted in FILES.items() if sha256(Path(output) / name) != wanted]
    if differ:
        sys.exit(f"these files differ: {{', '.join(differ)}}")
    print(f"{{len(FILES)}} files are the same")


if __name__ == "__main__":
    main(*sys.argv[1:])
'''


@dataclass(frozen=True)
class PublicCopy:
    """How a dataset was made ready for the Hub: repository, exact ages kept or not, Space that the card names."""

    repo_id: str
    exact_ages: bool
    space: str | None = None


def processing_script(manifest: Manifest, croissant: bool, public: PublicCopy | None = None) -> str | None:
    """Return the script that makes a dataset again; the same for the same dataset.

    It names titin's version and every setting, refuses a source of another sha256, builds, does again what was done to
    the dataset since, and compares the tables with those that the dataset has.

    Parameters
    ----------
    manifest
        Of the dataset as it is, with its files described.
    croissant
        Whether ``croissant.json`` is written beside it.
    public
        Of the copy that is published.

    Returns
    -------
    str or None
        None of a dataset that was made of other datasets, and not by a build.
    """
    if "made_of" in manifest.source:
        return None
    steps = _Steps(manifest, croissant)
    lines = [f"    {line}" for line in steps.lines(public)]
    return _SCRIPT.format(
        file=FILE, titin=repr(manifest.libraries.get("titin")), source=repr(manifest.source["name"]),
        sha256=repr(manifest.source["sha256"]), tables=_literal(steps.tables), settings=_literal(steps.settings),
        files=_literal(_files(manifest)), steps="\n".join(lines),
    )  # fmt: skip


def _literal(value: Any) -> str:
    """A value as Python has it: text of strangers in it is text of the script, and no code."""
    return pprint.pformat(value, width=_WIDTH, sort_dicts=False)


def _files(manifest: Manifest) -> dict[str, str]:
    """Checksums of the tables, and of what they are described by; a table of scores is made by another command."""
    described = (manifest.layout.unstructured_metadata, layout.STRUCTURE)
    scores = manifest.layout.gene_set_scores.removesuffix(".parquet")
    return {name: entry["sha256"] for name, entry in manifest.files.items()
            if (name.endswith(".parquet") or name in described) and not name.startswith(scores)}  # fmt: skip


class _Steps:
    """What is done, as lines of Python; and what it is done with.

    Attributes
    ----------
    settings
        Of the build: arguments of `titin.build`.
    tables
        Other files that are read: name, and sha256 where it is known.
    """

    def __init__(self, manifest: Manifest, croissant: bool) -> None:
        self.manifest, self.croissant = manifest, croissant
        self.relabelled: list[Mapping[str, Any]] = manifest.obs.get("relabelled", [])
        changed = {name for change in self.relabelled for name in change["columns"]}
        self.roles = dict(manifest.settings.get("roles") or {})
        early = {role: column for role, column in self.roles.items() if not changed & set(_listed(column))}
        self.settings = _build_settings(manifest) | ({"roles": early} if early else {})
        self.late = bool(self.relabelled) and (early != self.roles or bool(manifest.settings.get("donors")))
        self.tables: dict[str, str | None] = {}
        for change in self.relabelled:
            if change["columns"]:
                self.tables[change["name"]] = change.get("sha256")
        if manifest.settings.get("donors"):
            self.tables[manifest.settings["donors"]] = None

    def lines(self, public: PublicCopy | None) -> Iterator[str]:
        """The lines, in the order in which they are run."""
        donors = self.manifest.settings.get("donors")
        given = f", donors=tables[{donors!r}]" if donors and not self.late else ""
        yield from self._preset()
        yield f"report = titin.build(source, output, **SETTINGS{given})"
        yield 'if report.manifest.source["sha256"] != SOURCE_SHA256:'
        yield '    sys.exit(f"{source} is not the atlas that the dataset was made from")'
        for change in self.relabelled:
            table = f"tables[{change['name']!r}]" if change["columns"] else "None"
            yield f"titin.relabel(output, {table}, drop={change['dropped']!r})"
        if self.late:
            with_donors = f", donors=tables[{donors!r}]" if donors else ""
            yield f"titin.set_roles(output, {self.roles!r}{with_donors})"
        for entry in self.manifest.obsm.values():
            if "computed" in entry and not self._of_build(entry["computed"]):
                yield self._embedding(entry["computed"])
        pseudobulk = self.manifest.layout.pseudobulk.removesuffix(".parquet")
        if any(name.startswith(pseudobulk) for name in self.manifest.files):
            yield "titin.ageing.write_pseudobulk(titin.open(output))"
        if self.manifest.ageing:
            yield f"titin.ageing.write_ageing_tables(titin.open(output), levels={list(self.manifest.ageing)!r})"
        yield from self._card()
        if public is not None:
            how = f"exact_ages={public.exact_ages}"
            if self.manifest.ageing:
                how += ", find_ageing=titin.ageing.write_ageing_tables"
            if public.space is not None:
                how += f", space={public.space!r}"
            yield f"output = titin.publish.write_public_copy(output, {public.repo_id!r}, {how})"

    def _preset(self) -> Iterator[str]:
        document = self.manifest.preset.get("document")
        if document is not None and self.settings.get("preset") == self.manifest.preset["name"]:
            yield f"SETTINGS['preset'] = titin.presets.make_preset({document!r})"

    def _of_build(self, computed: Mapping[str, Any]) -> bool:
        """Whether the build computes it: asked for there, with its seed and the parameters that are the defaults."""
        asked = computed["method"] in (self.manifest.settings.get("project") or ())
        return asked and computed.get("seed") == self.manifest.settings["seed"] and not self._others(computed)

    @staticmethod
    def _others(computed: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters that are not the defaults."""
        defaults = METHODS[computed["method"]].parameters if computed["method"] in METHODS else {}
        found = computed.get("parameters") or {}
        return {name: found[name] for name, value in defaults.items() if name in found and found[name] != value}

    def _embedding(self, computed: Mapping[str, Any]) -> str:
        method, others = computed["method"], self._others(computed)
        parameters = f", {method}={others!r}" if others and str(method).isidentifier() else ""
        return f"titin.add_embeddings(output, [{method!r}], seed={computed.get('seed', 0)!r}, force=True{parameters})"

    def _card(self) -> Iterator[str]:
        names = self.manifest.files
        licence = (self.manifest.settings.get("card") or {}).get("license")
        pictures = any(name.startswith("preview_") for name in names)
        yield (f"titin.publish.write_card(Path(output), licence={licence!r}, images={pictures}, "
               f"croissant={self.croissant})")  # fmt: skip


def _listed(column: Any) -> list[Any]:
    return column if isinstance(column, list) else [column]


def _build_settings(manifest: Manifest) -> dict[str, Any]:
    """Every setting of the build, as arguments of `titin.build`; roles and tables of donors apart."""
    chosen = manifest.settings
    found = {name: chosen[name] for name in _ARGUMENTS if name in chosen}
    card = chosen.get("card") or {}
    built = chosen.get("preset") or card.get("preset")  # where datasets had it before
    preset = built.get("name") if isinstance(built, Mapping) else built
    if preset and (preset in preset_names() or preset == manifest.preset.get("name")):
        found["preset"] = preset
    return {**found, "licence": card.get("license"), "texts": card.get("texts", True)}
