"""``croissant.json``: the dataset described for machines (MLCommons Croissant 1.1), readable where the files are."""

from typing import Any

import pyarrow as pa

from titin.dataset import layout
from titin.publish.facts import CardConfig, CardFacts
from titin.publish.licence import licences

FILE = layout.CROISSANT
_KEYWORDS = ["biology", "single-cell", "transcriptomics", "gene expression"]
_PARQUET = "application/x-parquet"

_CONTEXT = {
    "@language": "en", "@vocab": "https://schema.org/", "arrayShape": "cr:arrayShape", "citeAs": "cr:citeAs",
    "column": "cr:column", "conformsTo": "dct:conformsTo", "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/", "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"}, "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty", "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract", "field": "cr:field", "fileObject": "cr:fileObject", "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet", "format": "cr:format", "includes": "cr:includes", "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath", "key": "cr:key", "md5": "cr:md5",
    "parentField": "cr:parentField", "path": "cr:path", "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet", "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated",
    "replace": "cr:replace", "samplingRate": "cr:samplingRate", "sc": "https://schema.org/",
    "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField", "transform": "cr:transform",
}  # fmt: skip


def croissant(facts: CardFacts) -> dict[str, Any]:
    """Describe a dataset: every file with its checksum, every table as a record set of its columns.

    A table in several shards is one record set a shard.
    """
    manifest = facts.manifest
    document: dict[str, Any] = {
        "@context": _CONTEXT, "@type": "sc:Dataset", "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": facts.title, "description": _description(facts), "keywords": _KEYWORDS,
        "version": "1.0.0", "distribution": [], "recordSet": [],
        "rai:personalSensitiveInformation": _sensitive(facts),
    }  # fmt: skip
    if facts.repo_id:
        document["url"] = f"https://huggingface.co/datasets/{facts.repo_id}"
    if facts.licence:
        document["license"] = licences().get(facts.licence, ("", facts.licence))[1]
    if facts.texts.citations:
        document["citeAs"] = facts.texts.citations[0]["bibtex"].strip()
    for name, entry in sorted(manifest.files.items()):
        if name not in (layout.CARD, FILE):
            document["distribution"].append(_file(name, entry))
    for config in facts.configs:
        document["recordSet"] += [_records(facts, config, shard) for shard in config.shards]
    return document


def _description(facts: CardFacts) -> str:
    manifest = facts.manifest
    return (
        f"{manifest.n_cells:,} cells x {manifest.n_genes:,} genes, {manifest.nnz:,} non-zeros, with {facts.beside}; "
        f"made from {manifest.source['name']} by titin."
    )


def _sensitive(facts: CardFacts) -> str:
    known = [role for role in ("age", "sex") if facts.column(role)]
    said = f"Recorded of each donor: {' and '.join(known)}. " if known else ""
    return f"{said}Donors go by the names that the source gives them. Do not attempt to identify anyone."


def _file(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    kinds = {"parquet": _PARQUET, "json": "application/json", "png": "image/png"}
    return {
        "@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": name, "contentSize": f"{entry['bytes']} B",
        "encodingFormat": kinds.get(name.rpartition(".")[2], "text/plain"), "sha256": entry["sha256"],
    }  # fmt: skip


def _records(facts: CardFacts, config: CardConfig, shard: str) -> dict[str, Any]:
    name = config.name if len(config.shards) == 1 else f"{config.name}_{config.shards.index(shard):05d}"
    fields = [_field(name, field, shard) for field in facts.schema(config.file)]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "field": fields}


def _field(records: str, field: pa.Field, shard: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "@type": "cr:Field", "@id": f"{records}/{field.name}", "name": f"{records}/{field.name}",
        "dataType": _data_type(field.type),
        "source": {"fileObject": {"@id": shard}, "extract": {"column": field.name}},
    }  # fmt: skip
    if pa.types.is_list(field.type):
        described |= {"isArray": True, "arrayShape": "-1"}
    return described


def _data_type(arrow: pa.DataType) -> str:
    if pa.types.is_list(arrow):
        return _data_type(arrow.value_type)
    if pa.types.is_dictionary(arrow):
        return _data_type(arrow.value_type)
    for claims, name in (
        (pa.types.is_boolean, "sc:Boolean"), (pa.types.is_integer, "sc:Integer"), (pa.types.is_floating, "sc:Float"),
        (pa.types.is_temporal, "sc:DateTime"),
    ):  # fmt: skip
        if claims(arrow):
            return name
    return "sc:Text"
