"""What cannot be answered is told; what is damaged or cannot be written is an error, wherever it happens."""

import pytest

from titin.ageing.design import NotTestableError
from titin.errors import ClusterError, DatasetError, OutputError, SourceError, TitinError, reason_of
from titin.section import Section


@pytest.mark.parametrize("error", [TitinError, NotTestableError, SourceError])
def test_an_answer_that_cannot_be_given_is_told(error: type[TitinError]) -> None:
    def part() -> None:
        raise error("too few donors", "ask others")

    assert reason_of(error("too few donors", "ask others")) == "too few donors"
    section = Section("a", "A")
    assert not section.attempt(part)
    assert section.facts["missing"] == ["too few donors"]


@pytest.mark.parametrize("error", [ClusterError, DatasetError, OutputError])
def test_damage_is_never_taken_for_an_answer(error: type[TitinError]) -> None:
    def part() -> None:
        raise error("a file is damaged", "restore it")

    with pytest.raises(error, match="a file is damaged"):
        Section("a", "A").attempt(part)
