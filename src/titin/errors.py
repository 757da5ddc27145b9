"""Errors that speak to the user: what is wrong, where, and what to do."""


class TitinError(Exception):
    """Wrong use or unusable input; the command line prints it in two lines and exits with 2.

    Parameters
    ----------
    message
        What is wrong and where (file, cell, gene, column).
    hint
        What to do about it.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = str(self.args[0])
        return f"{message}\n{self.hint}" if self.hint else message


class SourceError(TitinError):
    """The source file cannot be read, or holds what no dataset can hold."""


class OutputError(TitinError):
    """The dataset cannot be written where it was asked for."""


class DatasetError(TitinError):
    """A dataset folder is missing something, or is not one."""


class ClusterError(TitinError):
    """The workers of a cluster, or its scheduler, are lost on the way."""


def reason_of(error: TitinError) -> str:
    """Why a question cannot be answered, to be told in place of the answer.

    Raises
    ------
    ClusterError, DatasetError, OutputError
        The error itself: what is lost, damaged, or cannot be written, is no answer.
    """
    if isinstance(error, ClusterError | DatasetError | OutputError):
        raise error
    return str(error.args[0])
