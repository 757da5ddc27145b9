"""What `pip install titin` weighs, with and without its extras: megabytes on disk, and the heaviest packages.

python benchmarks/install.py                             without extras, and with `all`
python benchmarks/install.py "" anndata embed ageing     each in a fresh environment

Sizes are those of the files (not of disk blocks), as installed; what Python compiles of them at the first import, and
what pip compiles at once, is a column of its own. pip itself is left out.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def weigh(site: Path) -> tuple[Counter[str], int]:
    """Bytes of each package but pip, and of all compiled files, which are not among them."""
    own, compiled = Counter[str](), 0
    for path in site.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        package = path.relative_to(site).parts[0].removesuffix(".libs")
        if package.partition("-")[0] in ("pip", "setuptools", "pkg_resources", "_distutils_hack"):
            continue
        if path.suffix == ".pyc":
            compiled += path.stat().st_size
        else:
            own[package] += path.stat().st_size
    return own, compiled


def install(extra: str, folder: Path) -> Path:
    """Install titin with an extra into a fresh environment; its site-packages."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    what = f"{REPOSITORY}[{extra}]" if extra else str(REPOSITORY)
    subprocess.run([folder / "bin/python", "-m", "pip", "install", "--quiet", what], check=True)
    return next(folder.glob("lib/python*/site-packages"))


def main() -> None:
    """Print a line for each extra."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("extras", nargs="*", default=["", "all"], help="extras (default: none, and all)")
    print(f"{'extra':<12}{'packages':>9}{'MB':>7}{'compiled':>10}   heaviest")
    for extra in parser.parse_args().extras:
        with tempfile.TemporaryDirectory(prefix="titin-") as folder:
            own, compiled = weigh(install(extra, Path(folder) / "venv"))
        heaviest = ", ".join(f"{name} {size / 1e6:.0f}" for name, size in own.most_common(6))
        n_packages = sum(name.endswith(".dist-info") for name in own)
        megabytes = sum(own.values()) / 1e6
        print(f"{extra or 'none':<12}{n_packages:>9}{megabytes:>7.0f}{compiled / 1e6:>10.0f}   {heaviest}", flush=True)


if __name__ == "__main__":
    main()
