"""Which species an atlas is of, and how long it lives."""

import pandas as pd
import pytest

from titin.study.life_span import ANY_SPECIES, life_span, species_of
from titin.study.species import Species, find_species

NOTHING = pd.DataFrame(index=range(3))


@pytest.mark.parametrize(("word", "name"), [
    ("Homo sapiens", "Homo sapiens"), ("human", "Homo sapiens"), ("NCBITaxon:9606", "Homo sapiens"), ("9606",
    "Homo sapiens"),
    ("Mus musculus", "Mus musculus"), ("mus_musculus", "Mus musculus"), ("Mouse", "Mus musculus"), ("mice",
    "Mus musculus"),
    ("NCBITaxon:10090", "Mus musculus"), ("Naked mole-rat", "Heterocephalus glaber"), ("rat", "Rattus norvegicus"),
    ("Zebrafish", "Danio rerio"), ("C. elegans", "Caenorhabditis elegans"), ("unicorn", None), ("", None), (3, None),
])  # fmt: skip
def test_words_for_a_species(word, name):
    assert species_of(word) == name


def test_nobody_outlives_its_species():
    assert life_span("Homo sapiens") > 122.4  # Jeanne Calment
    assert 4 < life_span("Mus musculus") < 10
    assert life_span("Caenorhabditis elegans") < 1
    assert life_span(None) == life_span("Monoceros") == ANY_SPECIES > life_span("Homo sapiens")


@pytest.mark.parametrize("column", ["organism", "organism_ontology_term_id", "species", "Organism", "taxon_id"])
@pytest.mark.parametrize("word", ["Mus musculus", "NCBITaxon:10090", "mouse", 10090, 10090.0])
def test_a_column_of_obs_says_it(column, word):
    for values in ([word] * 3, pd.Categorical([word, None, word])):
        assert find_species(pd.DataFrame({"x": 1, column: values})).names == ("Mus musculus",)


def test_what_says_it_first_is_taken():
    obs = pd.DataFrame({"organism": ["human", "human"]})
    assert find_species(obs, {"organism": "mouse"}, preset="rat").names == ("Homo sapiens",)
    assert find_species(NOTHING, {"organism_ontology_term_id": "NCBITaxon:10090"}, preset="rat").names == (
        "Mus musculus",
    )
    assert find_species(NOTHING, {"organism": {"not": "text"}}, preset="rat").names == ("Rattus norvegicus",)
    assert find_species(NOTHING) == Species()
    mouse_ids = [f"ENSMUSG{n:011d}" for n in range(50)]
    assert find_species(NOTHING, ids=mouse_ids, preset="Homo sapiens").names == ("Mus musculus",)
    assert find_species(NOTHING, genes=["Actb", "Gapdh"] * 20, preset="Homo sapiens").names == ()
    assert find_species(NOTHING, genes=["ACTB", "GAPDH"] * 20, preset="Homo sapiens").names == ("Homo sapiens",)


def test_of_several_species_the_longest_life_counts():
    species = find_species(pd.DataFrame({"organism": ["mouse", "human", "mouse"]}))
    assert species.names == ("Homo sapiens", "Mus musculus")
    assert species.life_span == life_span("Homo sapiens")
    assert find_species(pd.DataFrame({"organism": ["mouse", "unicorn"]})).life_span == ANY_SPECIES


@pytest.mark.parametrize(("prefix", "name"), [("ENSG", "Homo sapiens"), ("ENSMUSG", "Mus musculus"), ("ENSDARG",
"Danio rerio"),
                                              ("FBgn", "Drosophila melanogaster"), ("XYZG", None)])  # fmt: skip
def test_identifiers_of_genes_say_it(prefix, name):
    ids = [f"{prefix}{n:011d}.{n % 3 + 1}" for n in range(200)] + ["ERCC-00002"]
    assert find_species(NOTHING, ids=ids).names == ((name,) if name else ())
    assert find_species(NOTHING, ids=ids[:5]).names == ()
    mixed = [*ids, *(f"ENSG{n:011d}" for n in range(200)), *(f"ENSMUSG{n:011d}" for n in range(200))]
    assert find_species(NOTHING, ids=mixed).names == ()


def test_symbols_only_look_like_it():
    species = find_species(NOTHING, genes=["Actb", "Gapdh", "mt-Nd1", "Rpl13a", "Cd3e"] * 10)
    assert species.names == ()
    assert species.looks_like == "mouse or rat"
    assert species.life_span == ANY_SPECIES
    assert species.likely_life_span == life_span("Mus musculus")
    assert find_species(NOTHING, genes=["ACTB", "GAPDH", "MT-ND1", "C1orf112"] * 10) == Species()
    assert find_species(NOTHING, genes=["actb", "gapdh"] * 20) == Species()
