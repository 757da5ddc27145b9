"""What the schema of CELLxGENE asks for, as far as it can be said without its ontologies.

https://github.com/chanzuckerberg/single-cell-curation/blob/main/schema/7.1.0/schema.md
"""

import re
from dataclasses import dataclass

VERSION = "7.1.0"
UNKNOWN, NOT_APPLICABLE = "unknown", "na"
HUMAN = "NCBITaxon:9606"
MOUSE = "NCBITaxon:10090"
ORGANISMS = {
    "Homo sapiens": HUMAN, "Mus musculus": MOUSE, "Drosophila melanogaster": "NCBITaxon:7227",
    "Danio rerio": "NCBITaxon:7955", "Caenorhabditis elegans": "NCBITaxon:6239",
    "Macaca fascicularis": "NCBITaxon:9541", "Oryctolagus cuniculus": "NCBITaxon:9986",
    "Callithrix jacchus": "NCBITaxon:9483", "Gorilla gorilla": "NCBITaxon:9595", "Macaca mulatta": "NCBITaxon:9544",
    "Pan troglodytes": "NCBITaxon:9598", "Sus scrofa": "NCBITaxon:9823", "Microcebus murinus": "NCBITaxon:30608",
    "Rattus norvegicus": "NCBITaxon:10116",
}  # fmt: skip
DELIMITER = " || "  # between several terms of one cell
NORMAL = "PATO:0000461"
SEXES = {"F": "PATO:0000383", "M": "PATO:0000384"}
TRUE, FALSE = "true", "false"


@dataclass(frozen=True)
class SchemaField:
    """A column of obs that the schema asks for.

    Attributes
    ----------
    name
        In the file of terms.
    says
        What is to be given.
    ontologies
        Whose terms it takes; none for one that takes words.
    words
        Words that it takes beside terms, or in their place; none for free text.
    ancestors
        Terms of which one must lie above a term.
    several
        Whether a cell may have more than one term.
    """

    name: str
    says: str
    ontologies: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    ancestors: tuple[str, ...] = ()
    several: bool = False

    @property
    def column(self) -> str:
        """Name of the column."""
        return f"{self.name}_ontology_term_id" if self.ontologies else self.name


_ANATOMIES = ("ZFA", "FBbt", "WBbt")  # of zebrafish, fly and worm
FIELDS = {own.name: own for own in (
    SchemaField("assay", "term of EFO", ("EFO",), (), ("EFO:0002772", "EFO:0010183")),
    SchemaField("cell_type", "term of CL, or unknown", ("CL", *_ANATOMIES), (UNKNOWN, NOT_APPLICABLE)),
    SchemaField("development_stage", "term of HsapDv for human, MmusDv for mouse, else UBERON; or unknown",
                ("HsapDv", "MmusDv", "UBERON", "ZFS", "FBdv", "WBls"), (UNKNOWN, NOT_APPLICABLE)),
    SchemaField("disease", f"term of MONDO, or {NORMAL} for normal", ("MONDO", "PATO"), (),
                ("MONDO:0000001", "MONDO:0021178", NORMAL), several=True),
    SchemaField("self_reported_ethnicity", "term of HANCESTRO, or unknown; na for other animals than humans",
                ("HANCESTRO", "AfPO"), (UNKNOWN, NOT_APPLICABLE), ("HANCESTRO:0601", "HANCESTRO:0602"), several=True),
    SchemaField("sex", "PATO:0000383 for female, PATO:0000384 for male, or unknown", ("PATO",),
                (UNKNOWN, NOT_APPLICABLE), (*SEXES.values(), "PATO:0001340")),
    SchemaField("tissue", "term of UBERON; of CL for a primary cell culture, of CVCL for a cell line",
                ("UBERON", "CL", "CVCL", *_ANATOMIES), (UNKNOWN,)),
    SchemaField("tissue_type", "tissue, organoid, primary cell culture or cell line",
                words=("tissue", "organoid", "primary cell culture", "cell line")),
    SchemaField("suspension_type", "cell, nucleus or na", words=("cell", "nucleus", NOT_APPLICABLE)),
    SchemaField("donor_id", "name of the donor; unknown or pooled where there is none"),
    SchemaField("is_primary_data", "true if the cells first appear in this dataset, else false", words=(TRUE, FALSE)),
)}  # fmt: skip

# columns that the portal fills in, or that older versions had: a file that has them is refused
TAKEN_OBS = frozenset({
    "assay", "cell_type", "development_stage", "disease", "self_reported_ethnicity", "sex", "tissue", "ethnicity",
    "ethnicity_ontology_term_id", "organism", "organism_ontology_term_id", "observation_joinid",
    "experimental_condition", "experimental_condition_ontology_term_id", "perturbation_types",
    "genetic_perturbation_id", "genetic_perturbation_strategy", "in_tissue", "array_row", "array_col",
})  # fmt: skip
TAKEN_VAR = frozenset({
    "feature_is_filtered", "feature_name", "feature_reference", "feature_biotype", "feature_length", "feature_type",
})  # fmt: skip
TAKEN_UNS = frozenset({
    "title", "organism", "organism_ontology_term_id", "schema_version", "schema_reference", "citation",
    "is_pre_analysis", "X_normalization", "default_field", "layer_descriptions", "tags", "version", "contributors",
    "preprint_doi", "project_description", "project_links", "project_name", "publication_doi", "batch_condition",
    "default_embedding", "X_approximate_distribution", "genetic_perturbations", "spatial",
})  # fmt: skip
EMBEDDING = re.compile(r"(?:X_)?[a-zA-Z][a-zA-Z0-9_.-]*")
GENE_ID = re.compile(r"(ENS[A-Z]*G\d{11}|FBgn\d{7}|WBGene\d{8}|ERCC-\d{5})(?:\.\d+)?")
_TERM = re.compile(r"([A-Za-z]+):\d+|(CVCL)_[A-Z0-9]+")


def gene_id(name: object) -> str | None:
    """The id of a gene without its version; None for what is no id of Ensembl, FlyBase, WormBase or a spike-in.

    Examples
    --------
    >>> gene_id("ENSG00000109061.10"), gene_id("ERCC-00002"), gene_id("TP53")
    ('ENSG00000109061', 'ERCC-00002', None)
    """
    match = GENE_ID.fullmatch(str(name))
    return match[1] if match else None


def ontology_of(term: str) -> str | None:
    """Name of the ontology by a term's prefix; None for what is no term.

    Examples
    --------
    >>> ontology_of("CL:0000084"), ontology_of("CVCL_0030"), ontology_of("T cell")
    ('CL', 'CVCL', None)
    """
    match = _TERM.fullmatch(term)
    return (match[1] or match[2]) if match else None


def misfit(own: SchemaField, term: str) -> str | None:
    """Say why a field does not take a term, by the way in which it is written; None if it may.

    Examples
    --------
    >>> misfit(FIELDS["sex"], "male")
    'is no term of PATO, nor unknown or na'
    >>> misfit(FIELDS["disease"], "MONDO:0005015 || MONDO:0004975")
    'are several terms that do not ascend'
    """
    if not own.ontologies:
        if term != term.strip() or not term:
            return "is empty, or has spaces around it"
        if own.words and term not in own.words:
            return f"is none of {', '.join(own.words)}"
        return "is no donor" if own.name == "donor_id" and term == NOT_APPLICABLE else None
    parts = term.split(DELIMITER) if own.several else [term]
    if len(parts) > 1 and any(ontology_of(part) not in own.ontologies for part in parts):
        return f"holds what is no term of {' or '.join(own.ontologies)}"
    if len(parts) > 1:
        return None if parts == sorted(set(parts)) else "are several terms that do not ascend"
    if term in own.words or ontology_of(term) in own.ontologies:
        return None
    words = f", nor {' or '.join(own.words)}" if own.words else ""
    return f"is no term of {' or '.join(own.ontologies)}{words}"
