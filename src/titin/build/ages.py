"""Exact ages from a donor table."""

from pathlib import Path

import pandas as pd

from titin.dataset.ages import parse_age as parse_age
from titin.dataset.ages import parse_ages as parse_ages
from titin.errors import TitinError


def read_donor_ages(path: Path) -> pd.Series:
    """Exact ages in years by donor from a CSV, TSV or Parquet table with a donor and an age column.

    Raises
    ------
    TitinError
        If the table cannot be read, lacks a column, or gives a donor two ages.
    """
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, sep="\t" if path.suffix in (".tsv", ".txt") else ",", dtype=str)
    except FileNotFoundError:
        raise TitinError(f"--donors: {path} does not exist", "give a table with a donor and an age column") from None
    except (OSError, ValueError) as error:
        raise TitinError(f"--donors: {path} cannot be read as a table: {error}", "give CSV, TSV or Parquet") from error
    from titin.build.roles import find_column  # the one list of names that columns go by

    donor, age = find_column(table, "donor"), find_column(table, "age")
    if donor is None or age is None:
        missing = "donor" if donor is None else "age"
        columns = ", ".join(map(str, table.columns))
        raise TitinError(
            f"--donors: {path} has no {missing} column (it has {columns})", f"name one of them {missing!r}"
        )
    pairs = pd.DataFrame({"donor": table[donor].astype(str), "age": parse_ages(table[age])}).dropna().drop_duplicates()
    twice = pairs["donor"][pairs["donor"].duplicated()]
    if len(twice):
        ages = pairs.loc[pairs["donor"] == twice.iloc[0], "age"].tolist()
        raise TitinError(f"--donors: {path} gives donor {twice.iloc[0]!r} the ages {ages}", "keep one age a donor")
    return pairs.set_index("donor")["age"]
