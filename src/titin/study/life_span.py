"""How long animals live: which species an atlas is of, and the age beyond which none of its kind is taken to be."""

from titin.study.vocabulary import plain

ANY_SPECIES = 130.0  # years; above the oldest person, for atlases whose species is not known

# Scientific name: (other names, NCBI taxon, years). Bounds, no records: set above the maximum longevity in AnAge, the
# database of animal ageing and longevity (Tacutu et al., Nucleic Acids Research 46, D1083, 2018), with room for oldest
# animals that are told of elsewhere and for long-lived strains.
_SPECIES: dict[str, tuple[tuple[str, ...], int, float]] = {
    "Homo sapiens": (("human", "humans", "h. sapiens", "hsapiens"), 9606, 123.0),
    "Mus musculus": (("mouse", "mice", "house mouse", "m. musculus", "mmusculus"), 10090, 5.0),
    "Rattus norvegicus": (("rat", "rats", "norway rat", "brown rat", "r. norvegicus"), 10116, 5.0),
    "Macaca mulatta": (("rhesus macaque", "rhesus monkey", "rhesus", "macaque"), 9544, 43.0),
    "Macaca fascicularis": (("cynomolgus macaque", "crab-eating macaque", "cynomolgus", "long-tailed macaque"),
                            9541, 40.0),
    "Callithrix jacchus": (("marmoset", "common marmoset", "white-tufted-ear marmoset"), 9483, 23.0),
    "Microcebus murinus": (("mouse lemur", "gray mouse lemur", "grey mouse lemur"), 30608, 19.0),
    "Pan troglodytes": (("chimpanzee", "chimp"), 9598, 69.0),
    "Pan paniscus": (("bonobo",), 9597, 60.0),
    "Gorilla gorilla": (("gorilla", "western gorilla", "gorilla gorilla gorilla"), 9593, 66.0),
    "Sus scrofa": (("pig", "pigs", "swine", "sus scrofa domesticus", "wild boar"), 9823, 28.0),
    "Canis lupus familiaris": (("dog", "dogs", "canis familiaris", "canis lupus"), 9615, 31.0),
    "Felis catus": (("cat", "cats", "domestic cat"), 9685, 39.0),
    "Bos taurus": (("cow", "cattle", "bovine"), 9913, 49.0),
    "Equus caballus": (("horse", "horses"), 9796, 63.0),
    "Ovis aries": (("sheep",), 9940, 29.0),
    "Capra hircus": (("goat", "goats"), 9925, 25.0),
    "Oryctolagus cuniculus": (("rabbit", "rabbits"), 9986, 19.0),
    "Cavia porcellus": (("guinea pig", "guinea pigs", "domestic guinea pig"), 10141, 15.0),
    "Mesocricetus auratus": (("golden hamster", "syrian hamster", "hamster"), 10036, 5.0),
    "Mustela putorius furo": (("ferret",), 9669, 16.0),
    "Heterocephalus glaber": (("naked mole rat", "naked mole-rat"), 10181, 45.0),
    "Monodelphis domestica": (("opossum", "gray short-tailed opossum"), 13616, 7.0),
    "Gallus gallus": (("chicken", "chick"), 9031, 31.0),
    "Xenopus laevis": (("african clawed frog",), 8355, 31.0),
    "Xenopus tropicalis": (("western clawed frog", "xenopus"), 8364, 31.0),
    "Ambystoma mexicanum": (("axolotl",), 8296, 26.0),
    "Danio rerio": (("zebrafish",), 7955, 7.0),
    "Nothobranchius furzeri": (("turquoise killifish", "african turquoise killifish", "killifish"), 105023, 2.0),
    "Oryzias latipes": (("medaka", "japanese medaka"), 8090, 6.0),
    "Drosophila melanogaster": (("fruit fly", "fly", "d. melanogaster"), 7227, 0.5),
    "Caenorhabditis elegans": (("c. elegans", "worm", "nematode", "roundworm"), 6239, 0.8),
}  # fmt: skip
_BY_NAME = {
    plain(word): name
    for name, (others, taxon, _) in _SPECIES.items()
    for word in (name, *others, f"NCBITaxon:{taxon}", str(taxon))
}


def species_of(word: object) -> str | None:
    """Scientific name of a species, by its scientific, English or NCBI name; None for what is not known here.

    Examples
    --------
    >>> species_of("mouse"), species_of("mus_musculus"), species_of("NCBITaxon:10090"), species_of("unicorn")
    ('Mus musculus', 'Mus musculus', 'Mus musculus', None)
    """
    return _BY_NAME.get(plain(word))


def life_span(species: str | None) -> float:
    """Years that none of a species is taken to outlive; `ANY_SPECIES` for one that is not known here.

    Examples
    --------
    >>> life_span("Mus musculus"), life_span(None)
    (5.0, 130.0)
    """
    return _SPECIES[species][2] if species in _SPECIES else ANY_SPECIES
