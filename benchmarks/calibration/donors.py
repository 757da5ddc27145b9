"""The donors of the human muscle atlas as they were studied: twelve by cells, thirteen by nuclei, eight by both.

After the atlas's published table of donors: age, sex, and chemistry.
"""

import pandas as pd

_CELLS = """339C 73 F v2, 343B 70 F v2, 362C 60 M v2, 367C 70 M v2, 411C 29 M v2, 464C 35 M v2, 470BR 19 M v2,
582C 58 F v3, 583B 28 M v3, 591C 38 M v3, 621B 50 M v3, 640C 74 F v3"""
_NUCLEI = """339C 73 F v3, 343B 70 F v3, 362C 60 M v3, 367C 70 M v3, 398B 22 F v3, 464C 35 M v3, 470BR 19 M v3,
500C 64 M v3, 502B 61 F v3, 529C 37 M v3, 566B 29 F v3, 582C 58 F v3, 583B 28 M v3"""
PROTOCOLS = ("cells", "nuclei")


def study_donors(*protocols: str) -> pd.DataFrame:
    """One row a donor and protocol: ``donor``, ``protocol``, ``age`` (years), ``sex``, ``chemistry``."""
    tables = {"cells": _CELLS, "nuclei": _NUCLEI}
    rows = [(*(one.split()), name) for name in protocols or PROTOCOLS for one in tables[name].split(",")]
    table = pd.DataFrame(rows, columns=["donor", "age", "sex", "chemistry", "protocol"])
    return table.assign(age=table["age"].astype(float))
