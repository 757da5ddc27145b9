"""How Sphinx makes the documentation: `make docs` writes it into docs/_build/html."""

import os
import re
import subprocess
import sys
from pathlib import Path

import titin

HERE = Path(__file__).parent
BUILD = HERE / "_build"

project = "titin"
author = "the titin developers"
copyright = author  # noqa: A001 - Sphinx calls it so
version = release = titin.__version__

extensions = [
    "myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx_design",
]  # fmt: skip
exclude_patterns = ["_build"]
nitpicky = False
default_role = "code"  # docstrings name things between single backticks

html_theme = "sphinx_book_theme"
html_title = f"titin {version}"
html_static_path = ["_static"]
html_css_files = ["narrow.css"]
html_copy_source = False
html_theme_options = {"home_page_in_toc": True, "show_toc_level": 2}

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True

# the notebooks are run, on the demo, and what they print is what they show
nb_execution_mode = "cache"
nb_execution_cache_path = str(BUILD / "notebooks")
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True


def make_demo() -> Path:
    """Make the dataset that the notebooks read, once."""
    folder = BUILD / "demo"
    if not (folder / "donors.csv").exists():
        BUILD.mkdir(exist_ok=True)
        subprocess.run([sys.executable, "-m", "titin", "demo", "-o", folder, "--force", "-q"], check=True)
    return folder


os.environ |= {
    "TITIN_DOCS_DEMO": str(make_demo()),
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # for `!titin …`
    "PYTHONWARNINGS": "ignore",  # of libraries; what titin has to say, it prints
}


def setup(app: object) -> None:
    """Show the names of files outside the documentation, which are no pages of it, without a link."""
    app.connect("source-read", _name_files)  # type: ignore[attr-defined]
    app.connect("autodoc-skip-member", _skip)  # type: ignore[attr-defined]


def _skip(_app: object, _what: str, name: str, _member: object, skip: bool, _options: object) -> bool:
    """Leave out what scikit-learn adds to every estimator for its routing of metadata."""
    return skip or bool(re.fullmatch(r"set_[a-z]+_request|get_metadata_routing", name))


def _name_files(_app: object, _name: str, source: list[str]) -> None:
    source[0] = re.sub(r"\[([^][]+)\]\(\.\./[^()]*\)", r"\1", source[0])
