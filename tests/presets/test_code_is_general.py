"""Code that serves every atlas names nothing of one: genes, labels and columns of a tissue stand in presets alone."""

import ast
import re
from pathlib import Path

import pytest

import titin
from titin.learn.features import RATIOS
from titin.presets import preset_names, read_preset

PACKAGE = Path(titin.__file__).parent
EXEMPT = ("presets", "demo")  # the data itself, and the synthetic muscle atlas
FILES = sorted(
    path.relative_to(PACKAGE).as_posix()
    for path in PACKAGE.rglob("*.py")
    if path.relative_to(PACKAGE).parts[0] not in EXEMPT
)
GENERAL = {"CDKN1A", *(gene for pair in RATIOS for gene in pair)}
MUSCLE = (r"MYH\d+[A-Z]?|MYL\d[A-Z]?|ACTA1|ACTN3|MYOD1|MYOG|MYF[56]|PAX7|TNN[CIT]\d|CKM|DLK1|SPRY1|MEF2C", r"MuSC\w*",
          r"\w*MF-I\w*", "Hyb", "EnFB", "PnFB", "mSchwann", r"DonorID|SampleID|annotation_level\d?|Age_group|Age_bin",
          "10X_version", r"skeletal_muscle\w*")  # fmt: skip


def genes_of_presets() -> set[str]:
    """Genes that a preset types, orders or shows something by, and that mean nothing elsewhere."""
    found: set[str] = set()
    for preset in map(read_preset, preset_names()):
        found |= {gene for pair in preset.learn.ratios for gene in pair}
        found |= set(preset.fibres.genes) if preset.fibres else set()
        found |= set(preset.stem_cells.markers) if preset.stem_cells else set()
    return found - GENERAL


WORDS = re.compile(rf"(?<![\w-])(?:{'|'.join([*MUSCLE, *sorted(genes_of_presets())])})(?![\w-])")


def said_of_a_tissue(source: str) -> list[str]:
    """Words of a tissue in a file's code, comments and docstrings, and literals that are the name of one."""
    found = [f"{source[: m.start()].count(chr(10)) + 1}: {m[0]}" for m in WORDS.finditer(source)]
    names = {*preset_names(), "myofibre"} - {"cellxgene"}
    found += [f"{node.lineno}: {node.value!r}" for node in ast.walk(ast.parse(source))
              if isinstance(node, ast.Constant) and node.value in names]  # fmt: skip
    return found


@pytest.mark.parametrize("file", FILES)
def test_no_file_names_what_one_tissue_has(file):
    assert said_of_a_tissue((PACKAGE / file).read_text("utf-8")) == []


@pytest.mark.parametrize(
    "line",
    ["MARKERS = ('PAX7', 'MYF5')", "x = obs['DonorID']", "_STEM = re.compile('MuSC|FB')", "# as MYH7 does",
     "open_preset('muscle')", "pairs = (('ALB', 'KRT19'),)", "level = 'annotation_level0'", "_LABEL = 'MF-Isn(fg)'"],
)  # fmt: skip
def test_what_is_looked_for_is_found(line):
    assert said_of_a_tissue(line)


@pytest.mark.parametrize("line", ["x = 'XIST'", "# sex: RPS4Y1", "'donor_id'", "MT = 'MT-CO1'", "'muscle fibres'"])
def test_what_every_tissue_has_may_be_named(line):
    assert said_of_a_tissue(line) == []
