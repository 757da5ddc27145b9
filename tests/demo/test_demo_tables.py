from pathlib import Path

import pandas as pd
import pytest

from titin.demo import donor_table, write_donor_table
from titin.demo.design import read_table

TABLES = Path(__file__).parents[3] / "shared" / "data" / "atlas_tables"


def test_donors_are_the_published_ones():
    donors = donor_table()
    assert list(donors) == ["DonorID", "age_years", "Sex"]
    assert len(donors) == donors["DonorID"].nunique() == 17
    assert (donors["age_years"].min(), donors["age_years"].max()) == (19, 74)
    assert donors["Sex"].value_counts().to_dict() == {"M": 10, "F": 7}
    assert (donors["age_years"] <= 38).sum() == 8


@pytest.mark.skipif(not TABLES.exists(), reason="needs the published tables in ../shared")
def test_donors_equal_the_published_table():
    published = pd.read_csv(TABLES / "donor_by_batch.csv").drop_duplicates("DonorID").set_index("DonorID")
    ours = donor_table().set_index("DonorID")
    assert ours["age_years"].to_dict() == published["Age"].to_dict()
    assert ours["Sex"].to_dict() == published["Sex"].to_dict()


@pytest.mark.skipif(not TABLES.exists(), reason="needs the published tables in ../shared")
def test_samples_equal_the_published_table_where_it_says():
    published = pd.read_csv(TABLES / "samples.csv").set_index("SampleID")
    ours = read_table("samples").set_index("SampleID")
    assert ours.index.tolist() == published.index.tolist()
    for column, name in (("DonorID", "DonorID"), ("10X_version", "X10X_version"), ("batch", "batch")):
        known = published[name].dropna()
        assert ours.loc[known.index, column].to_dict() == known.to_dict()
    assert ours["donor_published"].tolist() == published["DonorID"].notna().tolist()


def test_a_written_donor_table_reads_back(tmp_path):
    path = write_donor_table(tmp_path / "new" / "donors.csv")
    assert pd.read_csv(path).equals(donor_table())
    assert path.read_bytes().startswith(b"DonorID,age_years,Sex\n470BR,19,M\n")
