"""Genes that studies call otherwise are one where a table of aliases leaves no doubt, and only there."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_studies import assert_same, build_study, exported, make_study

import titin
from titin.cli import main
from titin.dataset.manifest import Manifest
from titin.errors import DatasetError, TitinError
from titin.study.gene_aliases import GeneAliases, aliases_of_var, read_gene_aliases
from titin.study.gene_matching import MatchedGenes, match_genes

HGNC = (
    "hgnc_id\tsymbol\tstatus\talias_symbol\tprev_symbol\tensembl_gene_id\n"
    'HGNC:7729\tSEPTIN2\tApproved\t"NEDD5|hNedd5"\tSEPT2\tENSG00000168385\n'
    "HGNC:1\tMARCHF1\tApproved\t\tMARCH1|MARC\tENSG00000145416\n"
    "HGNC:2\tMTARC1\tApproved\tMARC\tMARCH1X\tENSG00000186205\n"
    "HGNC:3\tOLD1\tEntry Withdrawn\tOLDER1\t\t\n"
)
GENES = [f"G{i}" for i in range(30)]


def table(folder: Path, text: str = HGNC, name: str = "hgnc_complete_set.txt") -> Path:
    (folder / name).write_text(text)
    return folder / name


def genes(*named: str) -> tuple[pd.Index, pd.DataFrame]:
    """Genes of a study, each ``SYMBOL`` or ``SYMBOL:ID``."""
    pairs = [(one.partition(":")[0], one.partition(":")[2] or one) for one in named]
    return pd.Index([symbol for symbol, _ in pairs]), pd.DataFrame(pairs, columns=["gene", "gene_ids"], dtype=object)


def joined(found: MatchedGenes, studies: dict[str, tuple[pd.Index, pd.DataFrame]]) -> set[frozenset[str]]:
    """Each gene, as ``STUDY.NAME`` of the studies that measured it."""
    return {
        frozenset(
            f"{study}.{studies[study][0][place[row]]}" for study, place in found.places.items() if place[row] >= 0
        )
        for row in range(len(found.names))
    }


def test_tables_of_hgnc_and_of_two_columns_are_read(tmp_path: Path) -> None:
    known = read_gene_aliases(table(tmp_path))
    assert known.meant("SEPT2") == known.meant("hNedd5") == known.meant("SEPTIN2") == {"SEPTIN2"}
    assert known.meant("MARC") == {"MARCHF1", "MTARC1"}
    assert known.meant("OLDER1") == known.meant("OLD1") == frozenset()
    assert known.of_id["ENSG00000168385"] == "SEPTIN2"
    for name, separator in (("mine.csv", ","), ("mine.tsv", "\t")):
        text = "alias,symbol\nSEPT2,SEPTIN2\nNEDD5,SEPTIN2\nNA,NAXE\n".replace(",", separator)
        mine = read_gene_aliases(table(tmp_path, text, name))
        assert (mine.meant("NEDD5"), mine.meant("NA")) == ({"SEPTIN2"}, {"NAXE"})
        assert mine.origin is not None
        assert mine.origin["name"] == name
    old = "Approved symbol\tPrevious symbols\tAlias symbols\nSEPTIN2\tSEPT2\tNEDD5, hNedd5\n"
    assert read_gene_aliases(table(tmp_path, old, "custom.txt")).meant("hNedd5") == {"SEPTIN2"}


@pytest.mark.parametrize(("text", "said"), [
    ("name,symbol\nA,B\n", "has the columns name, symbol"), ("alias\nA\n", "has the columns alias"),
    ("alias,symbol\n", "names no alias"), ("alias,symbol\nB,B\n,C\n", "names no alias"), ("", "cannot be read"),
])  # fmt: skip
def test_a_table_that_is_none_is_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(TitinError, match=said) as told:
        read_gene_aliases(table(tmp_path, text, "mine.csv"))
    assert "--gene-aliases" in str(told.value)
    assert told.value.hint


def test_what_is_clear_is_matched_and_what_is_not_is_listed(tmp_path: Path) -> None:
    known = read_gene_aliases(table(tmp_path))
    studies = {
        "one": genes("SEPT2", "MARC", "MARCHF1", "ENSG00000186205:ENSG00000186205.3", "X"),
        "other": genes("NEDD5", "MTARC1", "MARCH1", "Y", "X"),
    }
    found = match_genes(studies, "outer", aliases=[known])
    assert joined(found, studies) == {
        frozenset({"one.SEPT2", "other.NEDD5"}), frozenset({"one.MARCHF1", "other.MARCH1"}),
        frozenset({"one.ENSG00000186205", "other.MTARC1"}), frozenset({"one.X", "other.X"}),
        frozenset({"one.MARC"}), frozenset({"other.Y"}),
    }  # fmt: skip
    assert found.by_alias == {"other": {"NEDD5": "SEPT2", "MARCH1": "MARCHF1", "MTARC1": "ENSG00000186205"}}
    assert found.ambiguous == {}
    assert "3 genes of other were matched by alias: NEDD5 is SEPT2" in " ".join(found.notes)
    within = match_genes(studies, "inner", aliases=[known])
    assert within.names == ["SEPT2", "MARCHF1", "ENSG00000186205", "X"]
    assert within.unmatched == {"one": ["MARC"], "other": ["Y"]}


@pytest.mark.parametrize(("one", "other", "aliases", "ambiguous"), [
    (["A"], ["B"], {"A": ["B", "C"]}, {"one": ["A"]}),  # an alias of two genes
    (["A"], ["B"], {"A": ["B"], "Z": ["A"]}, {"one": ["A"]}),  # a symbol itself
    (["A", "A2"], ["B"], {"A": ["B"], "A2": ["B"]}, {"one": ["A", "A2"], "other": ["B"]}),  # two that would be one
    (["A", "B"], ["B"], {"A": ["B"]}, {}),  # the gene is there under its name
    (["A:ENSG00000000001"], ["B:ENSG00000000002"], {"A": ["B"]}, {}),  # told apart by their ids
])  # fmt: skip
def test_a_doubtful_alias_never_matches(
    one: list[str], other: list[str], aliases: dict[str, list[str]], ambiguous: dict[str, list[str]]
) -> None:
    known = GeneAliases(
        frozenset(symbol for named in aliases.values() for symbol in named),
        {alias: frozenset(named) for alias, named in aliases.items()},
    )
    studies = {"one": genes(*one, "X"), "other": genes(*other, "X")}
    found = match_genes(studies, "outer", aliases=[known])
    assert joined(found, studies) == joined(match_genes(studies, "outer"), studies)
    assert (found.by_alias, found.ambiguous) == ({}, ambiguous)


def test_two_names_that_one_study_tells_apart_are_two_genes_in_all() -> None:
    known = GeneAliases(frozenset({"B"}), {"A": frozenset({"B"})})
    studies = {"one": genes("A", "X"), "two": genes("B", "X"), "three": genes("A", "B", "X")}
    found = match_genes(studies, "outer", aliases=[known])
    assert joined(found, studies) == joined(match_genes(studies, "outer"), studies)
    assert found.ambiguous == {"one": ["A"], "two": ["B"], "three": ["A", "B"]}


def test_var_tells_of_aliases_and_a_table_is_believed_first() -> None:
    var = pd.DataFrame(
        {"Previous symbol": ["SEPT2|DIFF6", None, np.nan], "alias": [1, 2, 3]}, index=["SEPTIN2", "X", "Y"]
    )
    known = aliases_of_var([(var, pd.DataFrame({"gene": var.index}))])
    assert known is not None
    assert known.of_alias == {"SEPT2": {"SEPTIN2"}, "DIFF6": {"SEPTIN2"}}
    assert aliases_of_var([(var[["alias"]], pd.DataFrame({"gene": var.index}))]) is None
    studies = {"one": genes("SEPTIN2", "X"), "other": genes("DIFF6", "X"), "third": genes("NEW2", "X")}
    first = GeneAliases(frozenset({"NEW2"}), {"SEPTIN2": frozenset({"NEW2"})})
    found = match_genes(studies, "inner", aliases=[first, known])
    assert found.by_alias == {"other": {"DIFF6": "SEPTIN2"}, "third": {"NEW2": "SEPTIN2"}}


NAMES = [f"N{i}" for i in range(12)]


MEASURED = st.lists(st.sampled_from(NAMES), unique=True, min_size=1)


@settings(max_examples=300, deadline=None)
@given(
    MEASURED, MEASURED,
    st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES), min_size=1, max_size=2), max_size=8),
)  # fmt: skip
def test_two_studies_are_matched_as_by_hand(one: list[str], other: list[str], said: dict[str, set[str]]) -> None:
    """Against the rule written out for two studies without ids, and the other way round."""
    symbols = frozenset(symbol for meant in said.values() for symbol in meant)
    known = GeneAliases(symbols, {alias: frozenset(meant) for alias, meant in said.items()})

    def meaning(name: str) -> str | None:
        if name in symbols or name not in said:
            return name
        (first, *others) = said[name]
        return None if others else first

    studies = {"one": genes(*one, "X"), "other": genes(*other, "X")}
    by_name = set(one) & set(other)
    left = {study: [name for name in own if name not in by_name] for study, own in (("one", one), ("other", other))}
    taken = {meaning(name) for name in by_name}
    often = {study: Counter(map(meaning, own)) for study, own in left.items()}
    wanted = {frozenset({f"one.{name}", f"other.{name}"}) for name in [*by_name, "X"]}
    pairs = {
        (a, b) for a in left["one"] for b in left["other"]
        if (key := meaning(a)) is not None and key == meaning(b) and key not in taken
        and often["one"][key] == often["other"][key] == 1
    }  # fmt: skip
    wanted |= {frozenset({f"one.{a}", f"other.{b}"}) for a, b in pairs}
    wanted |= {frozenset({f"{study}.{name}"}) for study, own in left.items() for name in own
               if not any(name == pair[study == "other"] for pair in pairs)}  # fmt: skip
    found = match_genes(studies, "outer", aliases=[known])
    assert joined(found, studies) == wanted
    turned = dict(reversed(studies.items()))
    assert joined(match_genes(turned, "outer", aliases=[known]), turned) == wanted
    listed = {f"{study}.{name}" for study, names in found.ambiguous.items() for name in names}
    matched = {f"other.{name}" for name in found.by_alias.get("other", {})}
    assert len(matched) == len(pairs)
    assert not listed & ({f"one.{a}" for a, _ in pairs} | matched | {f"one.{name}" for name in by_name})


IDS = ["", "", *(f":ENSG{i:011d}" for i in range(4))]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_matches_without_aliases_stay_and_none_contradicts_an_id(data: st.DataObject) -> None:
    """Of up to three studies: each gene is somewhere once, and what was one by id or symbol is one still."""
    named = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(IDS)), unique_by=(lambda p: p[0]), max_size=8)
    studies = {}
    for study in ("one", "two", "three"):
        given_ids: set[str] = set()
        own = []
        for name, gene_id in data.draw(named):
            own.append(name + (gene_id if gene_id not in given_ids else ""))
            given_ids.add(gene_id)
        studies[study] = genes(*own, "X")
    said = data.draw(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(NAMES), max_size=8))
    known = GeneAliases(frozenset(said.values()), {alias: frozenset({symbol}) for alias, symbol in said.items()})
    before, after = match_genes(studies, "outer"), match_genes(studies, "outer", aliases=[known])
    ids = {f"{study}.{name}": gene_id for study, (names, own) in studies.items()
           for name, gene_id in zip(names, own["gene_ids"], strict=True) if gene_id.startswith("ENSG")}  # fmt: skip
    were, are = joined(before, studies), joined(after, studies)
    assert sorted(name for one in are for name in one) == sorted(name for one in were for name in one)
    assert all(any(one <= other for other in are) for one in were)
    for one in are - were:
        assert len({ids[name] for name in one if name in ids}) <= 1
        assert len({name.partition(".")[0] for name in one}) == len(one)
    for place, names in ((after.places[study], studies[study][0]) for study in studies):
        assert sorted(place[place >= 0]) == list(range(len(names)))


@pytest.mark.parametrize("where", ["table", "var"])
def test_a_merge_matches_by_alias_and_gives_each_study_back(where: str, tmp_path: Path) -> None:
    one, other = make_study("counts", GENES, 40, prefix="a"), make_study("counts", GENES, 30, seed=1, prefix="b")
    del one.var["gene_ids"], other.var["gene_ids"]
    other.var_names = ["OLD0", "OLD1", *GENES[2:-1], "ELSE"]
    if where == "var":
        one.var["prev_symbol"] = [f"OLD{gene[1:]}" for gene in GENES]
    mine = table(tmp_path, "alias,symbol\nOLD0,G0\nOLD1,G1\nELSE,G1\nELSE,G29\n", "mine.csv")
    paths = [build_study(source, tmp_path, name, project=()) for name, source in (("one", one), ("other", other))]
    words = ["merge", *map(str, paths), "-o", str(tmp_path / "both"), "--quiet"]
    main(words + (["--gene-aliases", str(mine)] if where == "table" else []))
    atlas = titin.open(tmp_path / "both")
    assert atlas.var_names.tolist() == GENES[:-1]
    wanted = other.X[:, :-1].toarray()
    np.testing.assert_array_equal(atlas.X[list(other.obs_names), :].toarray(), wanted)
    entry = atlas.manifest.studies["other"]
    assert entry["by_alias"] == {"OLD0": "G0", "OLD1": "G1"}
    assert entry.get("ambiguous", []) == (["ELSE"] if where == "table" else [])
    assert ("gene_aliases" in atlas.manifest.settings["merge"]) == (where == "table")
    assert any("were matched by alias: OLD0 is G0, OLD1 is G1" in note for note in atlas.manifest.notes)
    assert titin.validate(tmp_path / "both").passed
    titin.subset(tmp_path / "both", tmp_path / "again", where="study=other")
    assert_same(exported(tmp_path / "again", tmp_path), other[:, :-1].copy(), uns=False)


def test_genes_of_raw_are_matched_by_alias_too(tmp_path: Path) -> None:
    paths = []
    for n, name in enumerate(("one", "other")):
        source = make_study("counts", GENES, 30, seed=n, prefix=name)
        del source.var["gene_ids"]
        source.raw = source.copy()
        raw = source.raw.to_adata()
        raw.var_names = ["OLD0" if n and gene == "G0" else gene for gene in GENES]
        source.raw = raw
        paths.append(build_study(source, tmp_path, name, with_raw=True, project=()))
    mine = table(tmp_path, "alias,symbol\nOLD0,G0\n", "mine.csv")
    titin.merge(paths, tmp_path / "both", gene_aliases=mine)
    manifest = Manifest.read(tmp_path / "both")
    assert manifest.studies["other"]["parts"]["raw"]["by_alias"] == {"OLD0": "G0"}
    assert titin.open(tmp_path / "both").raw.var_names.tolist() == GENES
    document = json.loads((tmp_path / "both" / "titin.json").read_text())
    document["studies"]["other"]["by_alias"] = ["OLD0"]
    (tmp_path / "titin.json").write_text(json.dumps(document))
    with pytest.raises(DatasetError, match="by_alias"):
        Manifest.read(tmp_path)
