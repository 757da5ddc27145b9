"""Fenced blocks of a document, as whoever follows it would run them."""

import re
from dataclasses import dataclass

PYTHON, CONSOLE, SHELL = "python", "console", "sh"

# what has been done before the first block: it would clone and install what is being tested
DONE_BEFORE = re.compile(r"(git clone\b.*|make demo|make test|pip install titin|\. \.venv/bin/activate)\s*(#.*)?")


@dataclass(frozen=True)
class Block:
    """A fenced block to run: its language, its lines, and the line of the document before them."""

    language: str
    lines: list[str]
    at: int

    @property
    def commands(self) -> list[tuple[int, str]]:
        """Line and text of each command: those after ``$``, with the lines that they go on in; or a script, whole.

        What has been done before is left out.
        """
        return [(number, command) for number, command in self._numbered if not DONE_BEFORE.fullmatch(command)]

    @property
    def all_commands(self) -> list[str]:
        """Each command, those too that have been done before."""
        return [command for _, command in self._numbered]

    @property
    def _numbered(self) -> list[tuple[int, str]]:
        if self.language == SHELL:
            return [(self.at + 1, "\n".join(self.lines))]
        found: list[tuple[int, str]] = []
        goes_on = False
        for number, line in enumerate(self.lines, self.at + 1):
            if goes_on:
                found[-1] = (found[-1][0], f"{found[-1][1]}\n{line}")
            elif line.startswith("$ "):
                found.append((number, line.removeprefix("$ ")))
            goes_on = bool(found) and line.endswith("\\") and (goes_on or line.startswith("$ "))
        return found


class DocumentError(Exception):
    """A document that cannot be run as it is written."""


def blocks_of(text: str, name: str) -> list[Block]:
    """The blocks to run; one after ``<!-- not run: reason -->`` is none."""
    blocks: list[Block] = []
    lines = text.splitlines()
    position, before = 0, ""
    while position < len(lines):
        opening = re.fullmatch(r" {0,3}(`{3,}|~{3,}) *([^`]*)", lines[position])
        if opening is None:
            before = lines[position].strip() or before
            position += 1
            continue
        fence, language = opening[1], opening[2].split(" ")[0]
        closing = re.compile(rf" {{0,3}}{fence[0]}{{{len(fence)},}} *")
        end = next((i for i in range(position + 1, len(lines)) if closing.fullmatch(lines[i])), None)
        if end is None:
            raise DocumentError(f"{name}:{position + 1}: a block that is never closed")
        block = Block(language, lines[position + 1 : end], position + 1)
        if language in (PYTHON, CONSOLE, SHELL) and not _is_excused(before, f"{name}:{position + 1}"):
            if language == CONSOLE and not any(line.startswith("$ ") for line in block.lines):
                raise DocumentError(f"{name}:{position + 1}: a console block without a command; they begin with `$ `")
            blocks.append(block)
        position, before = end + 1, ""
    return blocks


def _is_excused(comment: str, place: str) -> bool:
    excuse = re.fullmatch(r"<!--\s*not run\b:?\s*(.*?)\s*-->", comment)
    if excuse is not None and not excuse[1]:
        raise DocumentError(f"{place}: a block is not run, and no reason is given")
    return excuse is not None
