"""Write the small tables in src/titin/demo/data from the published ones.

    python make_tables.py DATA_FOLDER src/titin/demo/data

DATA_FOLDER holds ``atlas_tables/`` (tables of the atlas's notebooks and of its release) and the liver .h5ad whose gene
table gives symbols and Ensembl ids. The terms of each are in src/titin/demo/data/NOTICE.md.
"""

import json
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from titin.features import gene_sets

N_GENES = 3200
MORE_GENES = """
MALAT1 NEAT1 TTN TP53 GAPDH ACTB B2M ACTA1 MYL1 MYL2 TNNC2 TNNI1 TNNI2 ATP2A1 ATP2A2 DES MYBPC1 MYBPC2 PTPRC
CD4 CD8A IL6 IL1B TNF CXCL8 SERPINE1 GDF15 CDKN1A CDKN2A PDK4 IGFN1 MYH3 CCL2 CCL3 CCL4 ICAM1 TNFRSF12A MYOG
UCHL1 TNNT2 OTUD1 RAMP1 CRTAM CCL26 CXCL1 CDH19 TAC1 RASA4 MKI67 TOP2A FOXP3 NOP56 NOP58 FBL NCL NPM1 POLR1A
BOP1 WDR12 ACKR2 CCR1 CCR2 CCR5 CCR10 COL1A1 COL3A1 CHRNA1 MUSK FOXO1 FOXO3 PPARGC1A SIRT1 CCR7 S100A12 FCGR1A
CD34 KDR VWF NOTCH3 CALCR SPRY1 EGR1 FOS JUNB HES1 MYF6 GPR183 SELL TREM2 LPL MPO ELANE
""".split()  # noqa: SIM905

# level 2 -> (level 1, level 0), where they differ from level 2 itself
PARENT = {
    **dict.fromkeys(("I-OTU+TNF+", "I-FAM"), ("MF-I", "MF-I")),
    **dict.fromkeys(("II-OTU+TNF+", "II-FAM"), ("MF-II", "MF-II")),
    **dict.fromkeys(("Inter_FB", "Par_FB", "Adv_FB"), ("FB", "FB")),
    **dict.fromkeys(("MF_typeII(fg)", "MF_typeII-UCHL1(fg)"), ("MF-IIsc(fg)", "MF-IIsc(fg)")),
    **dict.fromkeys(("MF_typeI(fg)", "MF_typeI-UCHL1(fg)", "MF_typeI-TNNT2(fg)"), ("MF-Isc(fg)", "MF-Isc(fg)")),
    **dict.fromkeys(("Mϕ_CD16hi", "Mϕ_HLAIIhi", "Mϕ-LAM"), ("Macrophage", "Macrophage")),
    **dict.fromkeys(("CD4+T", "CD4+CD8+T-naive", "CD4+Treg", "Cyc-T"), ("CD4+T", "T-cell")),
    **dict.fromkeys(("CD8+T", "CD8+T-CRTAM+"), ("CD8+T", "T-cell")),
    **dict.fromkeys(("CD16+NK", "Cyc-NK"), ("CD16+NK", "NK-cell")),
    "CD16-NK": ("CD16-NK", "NK-cell"),
    **dict.fromkeys(("CD14+Mono", "Cyc-CD14+Mono"), ("CD14+Mono", "Monocyte")),
    "CD16+Mono": ("CD16+Mono", "Monocyte"),
    **dict.fromkeys(("SMC-CCL2+", "SMC-RAMP1+", "SMC-PC"), ("SMC", "SMC")),
    **dict.fromkeys(("Vein-CCL2+", "Vein"), ("VenEC", "VenEC")),
    **dict.fromkeys(("Arteriole", "Artery", "Arteriole-CCL2+"), ("ArtEC", "ArtEC")),
    **dict.fromkeys(("Cap", "Cap-Ven", "Cap-CCL2+"), ("CapEC", "CapEC")),
    **dict.fromkeys(("Lymphatic", "Vein-Lymph-CD8A+"), ("LymphEC", "LymphEC")),
    **dict.fromkeys(("Pericyte-CCL26+", "Pericyte-CCL2+", "mural-CXCL1+"), ("Pericyte", "Pericyte")),
    **dict.fromkeys(("ICAM1+MuSCs", "TNFRSF12A+MuSCs", "MYOG+MuSCs"), ("MuSC", "MuSC")),
    **{t: (t, "Specialised MF") for t in ("NMJ_accessory", "NMJ", "MTJ", "MF_type-RASA4+", "MF_type-MYH8+")},
    **dict.fromkeys(("B_naive", "B_memory", "Cyc_B-cell"), ("B-cell", "B-cell")),
    "Cyc_Plasma": ("B-plasma", "B-plasma"),
    **dict.fromkeys(("MatNeu", "PreNeu", "ProNeu"), ("Neutrophil", "Neutrophil")),
    "Cyc-cDC2": ("cDC2", "cDC2"),
    "Perineural_FB": ("PnFB", "PnFB"),
    **dict.fromkeys(("Endoneural_FB-CDH19+", "Endoneural_FB-TAC1+"), ("EnFB", "EnFB")),
    "Mast_cell": ("Mast", "Mast"),
    "mSchwann_cell": ("mSchwann", "mSchwann"),
    "nmSchwann_cell": ("nmSchwann", "nmSchwann"),
}
# the genes that a label names, which are high in it
NAMED = {
    "SMC-CCL2+": "CCL2", "SMC-RAMP1+": "RAMP1", "Vein-CCL2+": "CCL2", "Arteriole-CCL2+": "CCL2", "Cap-CCL2+": "CCL2",
    "Pericyte-CCL2+": "CCL2", "Pericyte-CCL26+": "CCL26", "mural-CXCL1+": "CXCL1", "Vein-Lymph-CD8A+": "CD8A",
    "ICAM1+MuSCs": "ICAM1", "TNFRSF12A+MuSCs": "TNFRSF12A", "MYOG+MuSCs": "MYOG", "MF_typeI-UCHL1(fg)": "UCHL1",
    "MF_typeII-UCHL1(fg)": "UCHL1", "MF_typeI-TNNT2(fg)": "TNNT2", "I-OTU+TNF+": "TNF", "II-OTU+TNF+": "TNF",
    "CD8+T": "CD8A", "CD8+T-CRTAM+": "CD8A CRTAM", "CD4+T": "CD4", "CD4+CD8+T-naive": "CD4 CD8A SELL",
    "CD4+Treg": "CD4 FOXP3",
    "Endoneural_FB-CDH19+": "CDH19", "Endoneural_FB-TAC1+": "TAC1", "MF_type-RASA4+": "RASA4", "MF_type-MYH8+": "MYH8",
    **dict.fromkeys(("Cyc-T", "Cyc-NK", "Cyc-CD14+Mono", "Cyc_B-cell", "Cyc_Plasma", "Cyc-cDC2"), "MKI67 TOP2A"),
}  # fmt: skip


def donors(tables: Path) -> pd.DataFrame:
    """Return one row a donor; the cells of each protocol are estimated where only totals are printed."""
    published = pd.read_csv(tables / "donor_by_batch.csv")
    table = (
        published.drop_duplicates("DonorID").set_index("DonorID")[["Age", "Sex"]].rename(columns={"Age": "age_years"})
    )
    cells = pd.read_csv(tables / "cells_per_donor_single_cell_v1.csv").set_index("DonorID")["n"]
    by_group = pd.read_csv(tables / "cells_per_age_group.csv").set_index("Age_group")["n_cells"]
    in_nuclei = published.loc[published["batch"] == "nuclei", "DonorID"].tolist()
    low = table["age_years"] // 5 * 5
    group = low.astype(str) + "-" + (low + 5).astype(str)
    rest = by_group.sub(cells.groupby(group).sum(), fill_value=0)
    sharing = group[in_nuclei].value_counts()
    nuclei = pd.Series({d: round(rest[group[d]] / sharing[group[d]]) for d in in_nuclei})
    table["cells"] = cells.reindex(table.index).fillna(0).astype(int)
    table["nuclei"] = nuclei.reindex(table.index).fillna(0).astype(int)
    return table.sort_values("age_years", kind="stable").reset_index()


def samples(tables: Path) -> pd.DataFrame:
    """Return one row a sample; donor and chemistry of nuclei samples are inferred where they are not printed."""
    table = pd.read_csv(tables / "samples.csv").rename(columns={"X10X_version": "10X_version"})
    table["donor_published"] = table["DonorID"].notna()
    table.loc[table["SampleID"] == "WS_A_SKM10691778", "DonorID"] = "582C"
    table.loc[table["SampleID"] == "WS_A_SKM10691779", "DonorID"] = "583B"
    table["DonorID"] = table["DonorID"].ffill()
    later = table["SampleID"].str.startswith("WS_A")
    later |= table["SampleID"].isin(["5386STDY7600837", "5386STDY8090407"])  # 362C and 470BR have both chemistries
    table["10X_version"] = table["10X_version"].fillna(later.map({True: "3'v3", False: "3'v2"}))
    return table[["SampleID", "DonorID", "batch", "10X_version", "donor_published"]]


def cell_types(tables: Path) -> pd.DataFrame:
    """Return one row a level 2 type with its parents and its cells and nuclei in the release."""
    release = json.loads((tables / "upstream_detailed_structure.json").read_text())["annotation_mapping"]
    split = pd.read_csv(tables / "celltype_counts_level1_level2.csv").query("level == 'level2'")
    split = split.pivot_table(index="celltype", columns="batch", values="n", fill_value=0)
    split = split.rename(index={"MuSCs": "MuSC", "ArtEC": "Artery"}).groupby(level=0).sum()
    rows = []
    for level2, n in release["annotation_level2"].items():
        level1, level0 = PARENT.get(level2, (level2, level2))
        nuclei = int(split["nuclei"].get(level2, 0))
        rows.append([level2, level1, level0, n - nuclei, nuclei, NAMED.get(level2, "")])
    table = pd.DataFrame(rows, columns=["level2", "level1", "level0", "cells", "nuclei", "named_genes"])
    strays = release["annotation_level2"]["cDC1"] - release["annotation_level0"]["cDC1"]
    at = table.index[table["level2"] == "cDC1"][0]
    table.loc[at, "cells"] -= strays
    stray_row = pd.DataFrame([["cDC1", "cDC2", "cDC2", strays, 0, ""]], columns=table.columns)
    table = pd.concat([table.iloc[: at + 1], stray_row, table.iloc[at + 1 :]], ignore_index=True)
    for level in ("level0", "level1", "level2"):
        totals = table.groupby(level)[["cells", "nuclei"]].sum().sum(axis=1)
        assert totals.to_dict() == release[f"annotation_{level}"], level
    return table


def genes(liver: Path) -> pd.DataFrame:
    """Return ids and symbols of the named genes, and of those detected in most cells of the liver file."""
    adata = ad.read_h5ad(liver)
    table = pd.DataFrame({"ENSEMBL": adata.var_names, "SYMBOL": adata.var["feature_name"].astype(str).to_numpy()})
    twice = table["SYMBOL"].str.contains("_ENSG")  # two ids share these symbols; the first is the gene itself
    bare = table["SYMBOL"].str.replace(r"_ENSG\d+$", "", regex=True)
    table["SYMBOL"] = bare.where(twice & ~bare.duplicated(), table["SYMBOL"])
    named = {symbol for found in gene_sets().values() for symbol in found.genes} | set(MORE_GENES)
    named |= {symbol for symbols in NAMED.values() for symbol in symbols.split()}
    symbol = table["SYMBOL"]
    keep = symbol.isin(named) | symbol.str.fullmatch(r"MT-(ND|CO|ATP|CYB).*|RP[LS](P?\d+[AXYL]{0,2}\d?|A)")
    keep &= symbol != "RPS4Y2"  # on the Y chromosome, and of no muscle
    clone = symbol.str.contains(r"^(?:A[CLFP]\d|LINC|MIR|ENSG)|\.\d|-AS\d|-DT$|-IT\d|^RPL|^RPS|^MT-|^TSIX$")
    detected = np.asarray((adata.X > 0).sum(axis=0)).ravel() * (~keep & ~clone).to_numpy()
    keep.iloc[np.argsort(-detected, kind="stable")[: N_GENES - int(keep.sum())]] = True
    missing = sorted(named - set(symbol))
    print("not in the liver file:", " ".join(missing), file=sys.stderr)  # noqa: T201
    return table[keep]


def main(data: Path, out: Path) -> None:
    """Write the four tables."""
    tables = data / "atlas_tables"
    donors(tables).to_csv(out / "donors.csv", index=False)
    samples(tables).to_csv(out / "samples.csv", index=False)
    cell_types(tables).to_csv(out / "cell_types.csv", index=False)
    table = genes(data / "h5ad" / "human_liver_cellxgene_146x33452.h5ad")
    assert table["ENSEMBL"].str.fullmatch(r"ENSG\d{11}").all()
    assert not table["SYMBOL"].duplicated().any()
    table.to_csv(out / "genes.csv", index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
