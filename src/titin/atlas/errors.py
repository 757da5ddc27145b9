"""What can be wrong with a question to an Atlas; each is also the built-in error that pandas users expect."""

from titin.errors import TitinError


class MemoryLimitError(TitinError, MemoryError):
    """The answer would not fit the memory limit; the message says how large it is and what to call instead."""


class UnknownNameError(TitinError, KeyError):
    """No such cell or gene, or several genes of that symbol."""


class SelectionError(TitinError, IndexError):
    """A position out of range, a mask of the wrong length, or what is no selection at all."""


def check_memory(size: float, limit: int, what: str, instead: str) -> None:
    """Refuse what takes more than the limit.

    Parameters
    ----------
    size
        Bytes that the result takes.
    limit
        Bytes that it may take.
    what
        The result, as in "a table of 10 cells × 20 genes".
    instead
        What to call instead.

    Raises
    ------
    MemoryLimitError
        If ``size`` is above ``limit``.
    """
    if size > limit:
        allow = f'titin.open(…, memory="{max(1, -(-int(size) // 2**30))}GiB") allows it'
        raise MemoryLimitError(
            f"{what} takes {_amount(size)} of memory; the limit is {_amount(limit)}", f"{instead}; {allow}"
        )


def _amount(size: float) -> str:
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{int(size)} bytes"
