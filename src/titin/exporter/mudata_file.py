"""A dataset of several modalities as MuData on disk (.h5mu), written block by block."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from titin import __version__
from titin.atlas.orders import source_order
from titin.atlas.tables import read_obs, read_source_var
from titin.exporter.anndata_file import PatientFile, write_element, write_matrix, write_root, write_table
from titin.exporter.job import ExportJob
from titin.exporter.names import check_keys, check_table
from titin.extras import check_installed

GENES = "rna"  # the modality of X, as MuData calls it
_TO, _VERSION = "h5mu", "0.1.0"
_HEAD = 512  # bytes before the HDF5 of such a file, by which readers know it


def write_h5mu(job: ExportJob, path: Path) -> None:
    """Write an ``.h5mu`` file: the genes with all tables as modality ``rna``, and each other modality beside it."""
    check_installed("anndata", "this format")
    import h5py

    manifest = job.manifest
    check_keys(dict.fromkeys(manifest.modalities), "modalities", "h5ad")
    with PatientFile(path) as file:
        with h5py.File(file, "w", userblock_size=_HEAD) as root:
            root.attrs.update({"encoding-type": "MuData", "encoding-version": _VERSION, "axis": 0})
            group = root.create_group("mod")
            write_root(job, group.create_group(GENES), "h5ad")
            obs = read_obs(job.store, source_order(job.store))[[]]
            names = {GENES: read_source_var(job.store).index}
            for name, place in manifest.modalities.items():
                names[name] = _write_modality(job.of(job.store.part(place)), group.create_group(name), obs, place)
            group.attrs["mod-order"] = np.array(list(names), object)
            _write_common(root, obs, names)
        file.seek(0)
        file.write(f"MuData (format-version={_VERSION};creator=titin;creator-version={__version__})".encode())
        file.check()


def _write_modality(job: ExportJob, group: Any, obs: pd.DataFrame, place: str) -> pd.Index:
    """Write one modality, and give the names of its features."""
    var = read_source_var(job.store)
    check_table(var, f"{place}/var", "h5ad")
    group.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    _write_parts(group, {"obs": obs, "var": var} | {part: {} for part in _EMPTY})
    write_matrix(job, group, "X", f"{place}/X")
    return var.index


_EMPTY = ("obsm", "varm", "obsp", "varp", "layers", "uns")


def _write_common(root: Any, obs: pd.DataFrame, names: dict[str, pd.Index]) -> None:
    """Write which cells and features are in which modality: all cells in each, features one modality after another."""
    features = pd.Index(np.concatenate([index.to_numpy(object) for index in names.values()]), dtype=object)
    of = np.repeat(list(names), [len(index) for index in names.values()])
    all_cells = np.ones(len(obs), bool)
    places = np.arange(1, len(obs) + 1, dtype=np.uint32)
    _write_parts(root, {
        "obs": obs, "var": pd.DataFrame(index=features), "obsm": dict.fromkeys(names, all_cells),
        "varm": {name: of == name for name in names}, "obsp": {}, "varp": {}, "uns": {},
        "obsmap": dict.fromkeys(names, places),
        "varmap": {name: np.where(of == name, np.cumsum(of == name), 0).astype(np.uint32) for name in names},
    })  # fmt: skip


def _write_parts(group: Any, parts: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for part, value in parts.items():
            if isinstance(value, pd.DataFrame):
                write_table(group, part, value, "h5ad")
                continue
            write_element(group, part, {}, part, _TO)
            for key, array in value.items():
                write_element(group[part], key, array, f"{part}/{key}", _TO)
