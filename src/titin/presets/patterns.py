"""Regular expressions of presets, which may come with a stranger's dataset: they are found in linear time.

The engine is RE2, which Arrow brings: it knows no looking ahead or back and no references to groups, as these are what
takes others minutes over a label.
"""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Pattern:
    """A regular expression; upper and lower case are alike.

    Attributes
    ----------
    pattern
        Its text.

    Raises
    ------
    ValueError
        If it is none that RE2 takes.
    """

    pattern: str

    def __post_init__(self) -> None:
        self.search("")

    def search(self, text: str) -> bool:
        """Whether it is found in a text."""
        found = pc.match_substring_regex(pa.scalar(text, pa.string()), self.pattern, ignore_case=True)
        return bool(found.as_py())
