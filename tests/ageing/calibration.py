"""The scripts of ``benchmarks/calibration``, imported by tests that run them on a small size."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parents[2] / "benchmarks" / "calibration"


def load(name: str) -> ModuleType:
    """Import one of them by name; they import their neighbours likewise."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    return importlib.import_module(name)
