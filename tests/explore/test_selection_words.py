"""Expressions, words and tests of selections in the page: those of Python."""

import random
from typing import Any

import numpy as np
import pytest
from page_modules import run
from scipy import stats

from titin.ageing.linear_models import adjust
from titin.errors import TitinError
from titin.study.conditions import Condition, _ConditionReader, _listed
from titin.study.vocabulary import missing_words, protocol_of, sex_of

PIECES = [
    "sex", '"my col"', "`a b`", "'x'", "age", "B cell", "=", "==", "!=", ">=", ">", "<", "<=", " in ", "not in", "[",
    "]", "(", ")", ",", ", ", '"a,b"', "'c'", " and ", " or ", " not ", "not ", "M", "60", "20..40", "..", "1.5", "-3",
    "e5", " ", "  ", '"', "T and B", "andrew", "or", "and", "in", "é",
]  # fmt: skip
CONDITIONS = [
    "sex=M", "age>=60", "age=20..40", 'type == "B cell"', "batch in [a, 'b,c']", "x not in (1,2)", "`my col`!=3",
    "annotation=T and B cells",
]  # fmt: skip
JOINS = ["{} and {}", "{} or {}", "not {1} and {0}", "({}) or ({})", "not ({} and {})", "({} and {}"]
READ = """data.map(text => {
    try { return m.readWhere(text); } catch (error) { if (!error.hint) throw error; return null; }
})"""


def some_texts(n: int) -> list[str]:
    rng = random.Random(17)
    texts = []
    for _ in range(n):
        if rng.random() < 0.5:
            texts.append("".join(rng.choice(PIECES) for _ in range(rng.randint(1, 12))))
            continue
        text = rng.choice(CONDITIONS)
        for _ in range(rng.randint(0, 4)):
            text = rng.choice(JOINS).format(text, rng.choice(CONDITIONS))
        at = rng.randrange(len(text))
        texts.append(text[:at] + rng.choice(PIECES) + text[at:] if rng.random() < 0.3 else text)
    return texts


def tree(found: Any) -> dict[str, Any]:
    if isinstance(found, Condition):
        return {"column": found.column, "relation": found.relation, "value": found.value}
    return {"word": found.word, "parts": [tree(part) for part in found.parts]}


def read(text: str) -> dict[str, Any] | None:
    try:
        return tree(_ConditionReader(text).whole())
    except TitinError:
        return None


def test_an_expression_is_read_as_python_reads_it() -> None:
    texts = [*some_texts(4000), "(" * 60 + "a=1" + ")" * 60, "a=" + "b" * 10_001]
    expected = [read(text) for text in texts]
    assert 0.3 < np.mean([found is not None for found in expected]) < 0.8
    for text, mine, known in zip(texts, run("where.js", READ, texts), expected, strict=True):
        assert mine == known, text


def test_values_with_commas_are_told_apart_as_in_python() -> None:
    rng = random.Random(3)
    parts = ["a", '"', "'", ",", " ", "b c", '"x,y"', "'z'"]
    texts = ["".join(rng.choice(parts) for _ in range(rng.randint(1, 8))) for _ in range(1500)]
    assert run("where.js", "data.map(m.listed)", texts) == [_listed(text) for text in texts]


def test_words_that_name_nobody_are_those_of_python() -> None:
    words = [
        "unknown", "N/A", "pooled [D1,D2]", "NA12878", "D1", "D2", "D1/D2", "Negative", "doublet", "donor unknown", "-",
        "Unassigned", "missing: x", "pool of 3", "unk_donor", "nan", "F", "female", "PATO:0000383", "single cell", "♀",
        "snRNA-seq", "3' v2", "Cells", "nuclei", "sample NA", "D1_D2", "mixed donors", "cell type unknown", "Men", "",
    ]  # fmt: skip
    roles = ["donor", "sample", "sex", "cell_type", "protocol", "study"]
    found = run("vocabulary.js", """{
        missing: data[0].map(role => [...m.missingWords(data[1], role)]), sexes: data[1].map(m.sexOf),
        protocols: data[1].map(m.protocolOf)}""", [roles, words])  # fmt: skip
    assert [sorted(one) for one in found["missing"]] == [sorted(missing_words(words, role)) for role in roles]
    assert found["sexes"] == [sex_of(word) for word in words]
    assert found["protocols"] == [protocol_of(word) for word in words]


def test_student_s_t_is_that_of_scipy() -> None:
    cases = [(t, df) for df in (1, 2, 2.5, 3, 7.3, 30, 400) for t in (1e-6, 0.01, 0.5, 1, 2.2, 5, 20)]
    found = run("student.js", "data.map(([t, df]) => m.pOfT(t, df))", cases)
    np.testing.assert_allclose(found, [2 * stats.t.sf(t, df) for t, df in cases], rtol=1e-9)
    limits = run("student.js", "data.map(df => m.tOfP(0.05, df))", [1, 2, 7.3, 400])
    np.testing.assert_allclose(limits, stats.t.ppf(0.975, [1, 2, 7.3, 400]), rtol=1e-10)


@pytest.mark.parametrize("paired", [True, False], ids=["paired", "welch"])
def test_tests_of_donors_are_those_of_scipy(paired: bool) -> None:
    rng = np.random.default_rng(5)
    for n, m in ((3, 3), (4, 9), (12, 30)):
        a, b = rng.normal(1, 1, n), rng.normal(0, 3, n if paired else m)
        name = "pairedTest" if paired else "welchTest"
        found = run("student.js", f"m.{name}(...data)", [a.tolist(), b.tolist()])
        known = stats.ttest_rel(a, b) if paired else stats.ttest_ind(a, b, equal_var=False)
        interval = known.confidence_interval()
        mine = [found[key] for key in ("t", "p", "df", "low", "high")]
        expected = [known.statistic, known.pvalue, known.df, interval.low, interval.high]
        np.testing.assert_allclose(mine, expected, rtol=1e-9)


def test_what_is_the_same_in_all_donors_has_no_p() -> None:
    found = run("student.js", "[m.pairedTest([2, 3, 4], [1, 2, 3]), m.welchTest([1, 1, 1], [2, 2, 2])]")
    assert [(one["difference"], one["p"], one["low"]) for one in found] == [(1, None, None), (-1, None, None)]


def test_p_of_several_tests_is_adjusted_as_in_python() -> None:
    p = np.random.default_rng(2).uniform(size=60) ** 3
    p[[3, 17]] = np.nan
    given = [None if np.isnan(one) else one for one in p]
    found = run("student.js", "m.adjusted(data.map(one => one ?? NaN))", given)
    np.testing.assert_allclose(np.array(found, float), adjust(p), rtol=1e-12)
