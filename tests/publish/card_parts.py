"""Parts of a card, read as the Hub and people do."""

import re
from typing import Any

import yaml


def matter_of(text: str) -> dict[str, Any]:
    """The YAML block of a card."""
    return yaml.safe_load(text.split("---\n")[1])


def code_of(text: str, language: str = "python") -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def flat(text: str) -> str:
    """The text on one line."""
    return " ".join(text.split())
