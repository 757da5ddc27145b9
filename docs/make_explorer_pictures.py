"""Write the pictures of docs/explorer.md: python docs/make_explorer_pictures.py DATASET [NAME …].

DATASET is a demo with its age tables; for explorer-regulator one with planted regulators, kept by `titin network`; for
explorer-results one that `titin validate` and `titin bench --task sex` were run on.
"""

import io
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from titin.explore import ExplorerServer

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests" / "explore"))
from window import ARGUMENTS, CHROMIUM, Window  # noqa: E402 - the tests' way to start the browser

RING = [[-6.0, -6.0], [6.0, -6.0], [6.0, 6.0], [-6.0, 6.0]]
PICTURES: dict[str, tuple[int, int, bool, dict[str, Any]]] = {  # width, height, dark, state
    "explorer": (1400, 860, False, {}),
    "explorer-genes": (1400, 860, True, {"colours": [{"gene": g} for g in ("MYH7", "MYH2", "PDGFRA", "PECAM1")]}),
    "explorer-gene": (1400, 860, False, {"page": "gene", "card": "CDKN1A"}),
    "explorer-changes": (1400, 860, False, {"page": "changes", "comparison": "MuSC · cells"}),
    "explorer-violins": (
        1400,
        860,
        False,
        {"page": "violins", "dots": ["CDKN1A", "PAX7", "MT-ND1"], "label": "MuSC"},
    ),
    "explorer-selections": (
        1400,
        1240,
        False,
        {
            "page": "sets",
            "a": {"filter": "annotation_level0 = MuSC and age > 50", "name": "old"},
            "tested": ["CDKN1A", "PAX7", "MT-ND1"],
            "b": {"filter": "annotation_level0 = MuSC and age < 50", "name": "young"},
        },
    ),
    "explorer-regulator": (1400, 1000, False, {"page": "regulators", "regulator": "IGFBP4"}),
    "explorer-results": (1400, 1200, False, {"page": "results"}),
    "explorer-phone": (400, 860, False, {"colours": [{"gene": "MYH7"}], "selection": {"polygon": RING}}),
}


def main() -> None:
    """Take each picture in a headless browser."""
    server = ExplorerServer(sys.argv[1])
    server.start()
    (HERE / "pictures").mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for name, (width, height, dark, state) in PICTURES.items():
            if sys.argv[2:] and name not in sys.argv[2:]:
                continue
            page = browser.new_page(viewport={"width": width, "height": height},
                                    color_scheme="dark" if dark else "light")  # fmt: skip
            window = Window(page).open(server.address)
            window.run("state => titin.setState(state)", state)
            window.until("document.querySelector('#sheet').hidden || document.querySelector('#sheet > *') !== null")
            page.wait_for_timeout(1000)
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            picture.save(HERE / "pictures" / f"{name}.png", optimize=True)
        browser.close()
    server.stop()


if __name__ == "__main__":
    main()
