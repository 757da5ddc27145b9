"""What can be wrong with data, host or browser is said in the page, which then waits for nothing."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from window import Window, static_host

import titin
from demo_dataset import Demo
from titin.explore import write_site

BY_GENE = "expression_by_gene.parquet"


def idle(window: Window) -> bool:
    return not window.run("document.querySelector('#map').classList.contains('busy')")


@pytest.fixture
def own(site: Path, tmp_path: Path) -> Path:
    """A copy of the site."""
    return Path(shutil.copytree(site, tmp_path / "site"))


def data_of(site: Path, ending: str) -> Path:
    return next(path for path in (site / "data").iterdir() if path.name.endswith(ending))


def test_a_host_without_ranges_is_told(window: Window, site: Path) -> None:
    with static_host(site, ranges=False) as address:
        window.page.goto(address)
        said = window.message()
    assert "The server sends whole files only" in said
    assert "range requests" in said
    assert idle(window)


def test_a_dataset_of_another_origin_is_read_without_preflights(window: Window, mapped: Demo, tmp_path: Path) -> None:
    with static_host(mapped.dataset, origins=True) as data:  # which answers OPTIONS by 405
        elsewhere = write_site(mapped.dataset, tmp_path / "page", data=data).path
        with static_host(elsewhere) as address:
            window.open(address)
            window.run("titin.colour({gene: 'XIST'})")
            assert len(window.values()) == mapped.manifest.n_cells
            assert {url.split("/")[2] for url in window.requests} == {data.split("/")[2], address.split("/")[2]}
    assert window.said == []


def remove(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4:-3000] = bytes(len(content) - 3004)
    path.write_bytes(content)


ENDINGS = ["titin.json", "projection_X_pca.parquet", "sample_metadata.parquet", BY_GENE]


@pytest.mark.parametrize(("ending", "fault"), [
    pytest.param(ending, fault, marks=[] if (row + column) % 2 == 0 else pytest.mark.slow)
    for row, ending in enumerate(ENDINGS) for column, fault in enumerate((remove, cut, spoil))
])  # fmt: skip
def test_a_file_that_is_missing_or_damaged_is_named(
    window: Window, own: Path, ending: str, fault: Callable[[Path], None]
) -> None:
    path = data_of(own, ending)
    fault(path)
    with static_host(own) as address:
        window.page.goto(address + "#projection=X_pca" + ("&gene=XIST" if ending == BY_GENE else ""))
        said = window.message()
        assert path.name in said
        assert idle(window)


def test_a_file_that_is_replaced_while_the_page_is_open_is_told(window: Window, own: Path) -> None:
    with static_host(own) as address:
        window.open(address)
        path = data_of(own, BY_GENE)
        path.write_bytes(path.read_bytes() + b"more")
        with pytest.raises(Exception, match="was cut off, or replaced meanwhile"):
            window.run("titin.colour({gene: 'XIST'})")
        assert "load the page again" in window.message()
        assert idle(window)
        assert "obs" in window.run("titin.state()")["colours"][0]  # what was shown before stays


def test_a_gene_that_is_not_there_is_told(window: Window, hosted: str) -> None:
    window.open(hosted)
    with pytest.raises(Exception, match="There is no gene NOGENE"):
        window.run("titin.colour({gene: 'NOGENE'})")
    assert "There is no gene NOGENE" in window.message()


def test_a_browser_without_webgl2_is_told(window: Window, hosted: str) -> None:
    window.page.add_init_script("""
        const own = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
            return kind === "webgl2" ? null : own.call(this, kind, ...rest);
        };
    """)
    window.page.goto(hosted)
    assert "shows no WebGL2" in window.message()


def test_a_lost_context_comes_back(window: Window, hosted: str) -> None:
    window.open(hosted)
    before = window.drawn()
    assert before > 1000
    window.run("""() => new Promise(done => {
        const canvas = document.querySelector("#map canvas");
        const lose = canvas.getContext("webgl2").getExtension("WEBGL_lose_context");
        canvas.addEventListener("webglcontextrestored", () => setTimeout(done, 100));
        canvas.addEventListener("webglcontextlost", () => setTimeout(() => lose.restoreContext(), 50));
        lose.loseContext();
    })""")
    assert window.drawn() == before


SCRIPT = '"><img src=x onerror="window.hacked=1"><script>window.hacked=2</script>'
COLUMN = '"><img src=x onerror="window.hacked=3">'  # a slash in its name is no column of HDF5


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site whose labels, columns, genes and cells are scripts."""
    folder = tmp_path_factory.mktemp("hostile")
    rng = np.random.default_rng(0)
    names = [f"{SCRIPT}{i}" for i in range(5)]
    obs = pd.DataFrame({COLUMN: pd.Categorical(rng.choice(names, 300)), "=1+1": rng.normal(size=300)},
                       index=[f"{SCRIPT}{i}" for i in range(300)])  # fmt: skip
    var = pd.DataFrame(index=[f"{SCRIPT}{i}" for i in range(40)])
    adata = ad.AnnData(rng.poisson(1.0, (300, 40)).astype("f4"), obs, var)
    adata.obsm["X_umap"] = rng.normal(size=(300, 2))
    adata.write_h5ad(folder / "a.h5ad")
    titin.build(folder / "a.h5ad", folder / "dataset", tissue="t", method="10x")
    return write_site(folder / "dataset", folder / "site").path


def test_hostile_names_do_nothing_and_show_as_text(window: Window, hostile: Path) -> None:
    with static_host(hostile) as address:
        window.open(address)
        window.run("name => titin.colour({obs: name})", COLUMN)
        assert f"{SCRIPT}0" in window.page.inner_text("#legend")
        window.page.fill("#search", f"{SCRIPT}3")
        window.page.wait_for_selector("#suggestions li")
        assert f"{SCRIPT}3" in window.page.inner_text("#suggestions")
        window.page.keyboard.press("Enter")
        window.until("'gene' in titin.state().colours[0]")
        window.page.hover("#map canvas")
        window.page.click("#share summary")
        for button in ("#save-svg", "#save-png", "#save-table", "#save-cells"):
            with window.page.expect_download():
                window.run("id => document.querySelector(id).click()", button)
        assert window.run("window.hacked") is None
        assert window.page.query_selector_all("main img, main script") == []
    assert window.said == []
    assert json.dumps(window.foreign(address)) == "[]"
