"""scPRINT: which genes the cells of each donor let it attend to, when it looks at a target.

scPRINT needs numpy below 2, which titin does not run with, so that both cannot be in one environment: it is asked by a
process of its own (`scprint_worker.py`), of the Python that the environment variable ``TITIN_SCPRINT_PYTHON`` names.

Kalfon et al., Nat. Commun. 16, 3607 (2025).
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from titin.errors import TitinError
from titin.files import NotRegularError, check_regular
from titin.network.ridge import places
from titin.resources import available_memory

Singles = NDArray[np.float32]
PYTHON = "TITIN_SCPRINT_PYTHON"
_WORKER = Path(__file__).with_name("scprint_worker.py")
_SHOWN_ERROR = 400
_OF_MEMORY = 0.8
_INSTALL = (
    "python3.11 -m venv scprint && scprint/bin/pip install scprint 'pyarrow<22', then "
    f"{PYTHON}=scprint/bin/python before the command"
)


class ScprintBackend:
    """Attention of scPRINT, a network a donor.

    Parameters
    ----------
    checkpoint
        A file of weights as scPRINT's authors publish them. It is unpickled, which can run anything: take none from
        strangers.

    Raises
    ------
    TitinError
        If there is no checkpoint, or no Python that has scPRINT is named.
    """

    most_genes = 2000
    most_cells = 64

    def __init__(self, checkpoint: Path | None = None) -> None:
        if checkpoint is None:
            raise TitinError("the backend scprint needs weights", "give --checkpoint FILE, such as medium-v1.5.ckpt, "
                             "which scPRINT's authors publish on the Hub")  # fmt: skip
        try:
            check_regular(checkpoint)
        except NotRegularError as error:
            raise TitinError(str(error), "give the file of weights with --checkpoint") from error
        except OSError as error:
            raise TitinError(f"there is no checkpoint {checkpoint}", "give the file with --checkpoint") from error
        self.checkpoint = Path(checkpoint).absolute()
        self.python = _find_python()
        self._process: subprocess.Popen[str] | None = None
        self._said: IO[bytes] | None = None
        self._place: dict[str, int] = {}

    def infer_donors(
        self, counts: sparse.csr_matrix, depth: NDArray[np.float64], donor: NDArray[np.int64], genes: Sequence[str],
        gene_ids: Sequence[str], regulators: Sequence[str],
    ) -> Singles:  # fmt: skip
        """Infer networks; see `titin.network.donor_networks.DonorBackend`."""
        if self._process is None:
            self._start()
        known = [self._place.get(str(name).split(".")[0], -1) for name in gene_ids]
        columns = np.flatnonzero(np.array(known) >= 0)
        row = {int(column): i for i, column in enumerate(columns)}
        asked = [(i, row[column]) for i, column in enumerate(places(genes, regulators).tolist()) if column in row]
        if not asked or len(columns) < 2:
            example = gene_ids[0] if len(gene_ids) else ""
            raise TitinError(f"{self.checkpoint.name} knows no regulator of this dataset: it has genes by Ensembl id, "
                             f"the dataset such as {example}", "build it from a source with Ensembl ids of the genes, "
                             "or give other --regulators")  # fmt: skip
        found = np.zeros((int(donor.max()) + 1, len(regulators), len(genes)), np.float32)
        with tempfile.TemporaryDirectory(prefix="titin-scprint-") as name:
            folder = Path(name)
            np.save(folder / "counts.npy", counts[:, columns].toarray().astype(np.float32))
            np.save(folder / "depth.npy", depth)
            np.save(folder / "donor.npy", donor)
            np.save(folder / "place.npy", np.array(known, np.int64)[columns])
            np.save(folder / "regulators.npy", np.array([at for _, at in asked], np.int64))
            self._ask(str(folder))
            made = np.load(folder / "attention.npy")
        rows = np.array([i for i, _ in asked])
        found[np.ix_(np.arange(len(found)), rows, columns)] = made
        return found

    def close(self) -> None:
        """End the process."""
        if self._process is not None and self._process.stdin is not None and self._process.stdout is not None:
            with contextlib.suppress(BrokenPipeError):  # it has ended by itself
                self._process.stdin.close()
            self._process.stdout.close()
            self._process.wait()
        if self._said is not None:
            self._said.close()
        self._process = self._said = None

    def _start(self) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [self.python, "-I", str(_WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said,
            text=True, encoding="utf-8",
        )  # fmt: skip
        told = self._ask({"checkpoint": str(self.checkpoint), "memory": int(available_memory() * _OF_MEMORY)})
        self._place = {str(gene): i for i, gene in enumerate(told["genes"])}

    def _ask(self, what: Any) -> dict[str, Any]:
        """Send a line, and wait for the answer.

        Raises
        ------
        TitinError
            With what scPRINT says, or that it was ended.
        """
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise TitinError("scPRINT has been ended", "begin anew")
        try:
            process.stdin.write(json.dumps(what) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = process.wait()
            last = self._last_words()
            self.close()
            if code == -9:
                raise TitinError("the system ended scPRINT, which it does where memory runs out",
                                 "close other programs, or take a smaller checkpoint")  # fmt: skip
            raise TitinError(
                f"scPRINT ended without an answer: {last}", f"see whether {self.python} has it: {_INSTALL}"
            )
        told: dict[str, Any] = json.loads(line)
        if "error" in told:
            self.close()
            raise TitinError(str(told["error"])[:_SHOWN_ERROR], str(told["hint"]) or None)
        return told

    def _last_words(self) -> str:
        if self._said is None:
            return "no reason given"
        self._said.seek(0)
        lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
        return (lines or ["no reason given"])[-1][:_SHOWN_ERROR]


def _find_python() -> str:
    """The Python that has scPRINT."""
    named = os.environ.get(PYTHON)
    if not named:
        raise TitinError("scPRINT has to be in an environment of its own, as it needs numpy below 2 and titin numpy 2",
                         _INSTALL)  # fmt: skip
    found = shutil.which(named)
    if found is None:
        raise TitinError(f"{PYTHON} names {named}, which is no program", _INSTALL)
    return os.path.abspath(found)  # noqa: PTH100 - the link of an environment is not followed
