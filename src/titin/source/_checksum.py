"""Checksums of a source, so that a dataset can name what it was built from."""

import hashlib
from pathlib import Path

PIECE = 8 << 20


def sha256(path: Path) -> str:
    """Return the checksum of a file; of a folder, that of its sorted relative paths and their checksums.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "empty"
    ...     _ = file.write_bytes(b"")
    ...     sha256(file)[:8]
    'e3b0c442'
    """
    if path.is_dir():
        total = hashlib.sha256()
        files = sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file())
        for name, file in files:
            total.update(f"{_of_file(file)}  {name}\n".encode())
        return total.hexdigest()
    return _of_file(path)


def _of_file(path: Path) -> str:
    digest = hashlib.sha256()
    piece = memoryview(bytearray(PIECE))
    with path.open("rb", buffering=0) as file:
        while n := file.readinto(piece):
            digest.update(piece[:n])
    return digest.hexdigest()
