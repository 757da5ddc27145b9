"""The server compares two selections over all genes, for its own page alone."""

import csv
import http.client
import json
import re
import threading
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from page_modules import run
from window import Window

import titin
from demo_dataset import Demo
from titin.ageing import compare_selections, plan_sides
from titin.explore import comparing

CLOSE = {"rtol": 1e-6, "atol": 1e-9}
OWN = {"Content-Type": comparing.KIND}


def port_of(server: Any) -> int:
    return int(re.search(r":(\d+)/", server.address)[1])


def post(server: Any, body: bytes, method: str = "POST", path: str = "/compare", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=60)
    try:
        connection.request(method, path, body, {**OWN, **headers})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def body_of(a: Any, b: Any) -> bytes:
    return np.concatenate([[len(a)], a, b]).astype("<u4").tobytes()


def rows_of(atlas: titin.Atlas, text: str) -> Any:
    return atlas.query(text).rows


def last_line(body: bytes) -> dict[str, Any]:
    return json.loads(body.splitlines()[-1])


def same(test: dict[str, Any], table: pd.DataFrame) -> None:
    own = table[table["protocol"] == test["protocol"]]
    assert test["genes"]["gene"] == own["gene"].tolist()
    for name, column in (
        ("effect", "log2_fold_change"),
        ("low", "ci_low"),
        ("p", "p_value"),
        ("adjusted", "adj_p_value"),
    ):
        np.testing.assert_allclose(np.array(test["genes"][name], float), own[column], **CLOSE)


def test_the_server_gives_what_python_gives(served: Any, atlas: titin.Atlas) -> None:
    a, b = rows_of(atlas, "sex=F"), rows_of(atlas, "sex=M")
    status, body = post(served, body_of(a, b), Origin=f"http://127.0.0.1:{port_of(served)}")
    lines = [json.loads(line) for line in body.splitlines()]
    expected = compare_selections(atlas, a, b)
    assert status == 200
    assert all({"step"} <= set(line) for line in lines[:-1])
    result = lines[-1]["result"]
    assert [test["protocol"] for test in result["tests"]] == ["cells", "nuclei"]
    for test in result["tests"]:
        same(test, expected.table)
    genes = result["tests"][0]["genes"]
    assert genes["effect"][genes["gene"].index("XIST")] > 5


def test_what_cannot_be_compared_is_refused_in_words(served: Any, atlas: titin.Atlas) -> None:
    a, b = rows_of(atlas, "batch=cells"), rows_of(atlas, "batch=nuclei")
    refused = last_line(post(served, body_of(a, b))[1])
    assert refused["refused"].startswith("A lies in the protocol cells")
    assert refused["hint"]
    assert last_line(post(served, body_of([0, 1], [1, 2]))[1])["refused"].startswith("A and B overlap: 1 cell is")
    few = last_line(post(served, body_of(rows_of(atlas, "donor=339C,343B"), rows_of(atlas, "donor=362C")))[1])
    assert few["result"]["tests"] == []
    assert "2 (339C, 343B) with A alone" in few["result"]["skipped"][0]["reason"]


@pytest.mark.parametrize(("body", "status"), [
    (b"", 400), (b"\1\0\0", 400), (b"\xff" * 8, 400), (body_of([1300], [0]), 400), (body_of([5, 5], [0]), 400),
    (b"\0" * 4 * 1302, 413), (b"\0" * 10_000_000, 413),
])  # fmt: skip
def test_a_body_that_is_none_is_refused(served: Any, body: bytes, status: int) -> None:
    try:
        found, said = post(served, body)
    except (BrokenPipeError, ConnectionResetError):  # the server has hung up before the end
        assert status == 413
        return
    assert found == status
    assert json.loads(said)["message"].endswith(".")


def test_only_the_page_of_the_server_may_ask(served: Any) -> None:
    body, own = body_of([0], [1]), f"127.0.0.1:{port_of(served)}"
    for origin in ("http://evil.example", "null", f"http://{own}.evil.example", "http://127.0.0.1:1"):
        assert post(served, body, Origin=origin)[0] == 403
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        assert post(served, body, **{"Content-Type": kind})[0] == 415
    assert post(served, body, Host="evil.example")[0] == 421
    for method in ("GET", "PUT", "OPTIONS", "DELETE"):
        assert post(served, b"", method)[0] in (404, 405)


def test_others_need_the_token(mapped: Demo) -> None:
    from titin.explore import ExplorerServer

    server = ExplorerServer(mapped.dataset, "0.0.0.0")
    server.start()
    try:
        assert post(server, body_of([0], [1]))[0] == 403
        assert post(server, body_of([0], [1]), path=f"/compare?token={server.access.token}")[0] == 200
    finally:
        server.stop()


def test_a_dataset_that_was_replaced_is_not_compared(served: Any, atlas: titin.Atlas) -> None:
    served.manifest.files["README.md"] = {"bytes": 1, "sha256": "0" * 64}
    refused = last_line(post(served, body_of([0], [1]))[1])
    assert "replaced meanwhile" in refused["refused"]


def test_who_goes_away_ends_the_work_and_the_next_is_served(
    served: Any, atlas: titin.Atlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = threading.Event(), threading.Event()
    compare = comparing.SelectionComparer._compare

    def endless(self, a, b, progress):
        progress.start("endless", 10, "genes")
        begun.set()
        try:
            while True:
                progress.advance(0)
                time.sleep(0.01)
        finally:
            ended.set()

    monkeypatch.setattr(comparing.SelectionComparer, "_compare", endless)
    connection = http.client.HTTPConnection("127.0.0.1", port_of(served), timeout=20)
    connection.request("POST", "/compare", body_of([0], [1]), OWN)
    answer = connection.getresponse()
    assert json.loads(answer.readline())["step"] in ("endless", "opening the dataset")
    assert begun.wait(20)
    answer.close()
    connection.close()
    assert ended.wait(20)
    monkeypatch.setattr(comparing.SelectionComparer, "_compare", compare)
    found = post(served, body_of(rows_of(atlas, "sex=F"), rows_of(atlas, "sex=M")))
    assert "result" in last_line(found[1])


def test_a_bug_is_told_and_the_server_goes_on(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self, a, b, progress):
        raise ZeroDivisionError("of nothing")

    monkeypatch.setattr(comparing.SelectionComparer, "_compare", broken)
    for _ in range(2):
        refused = last_line(post(served, body_of([0], [1]))[1])
        assert refused["refused"] == "the comparison failed: ZeroDivisionError: of nothing"


def test_the_page_plans_as_python_does() -> None:
    rng = np.random.default_rng(4)
    tables = []
    for _ in range(200):
        n = int(rng.integers(2, 12))
        numbers = rng.choice([0, 0, 3, 9, 10, 40], (n, 2))
        tables.append([{"donor": f"D{i:02d}", "a": int(x), "b": int(y)} for i, (x, y) in enumerate(numbers) if x or y])
    plans = run("donorsides.js", "data.map(donors => m.planOf({protocols: [{protocol: 'p', donors}]})[0])", tables)
    kinds = set()
    for table, mine in zip(tables, plans, strict=True):
        frame = pd.DataFrame(table, columns=["donor", "a", "b"]).assign(protocol="p")
        if not table:
            continue
        [known] = plan_sides(frame)
        kinds.add(known.kind)
        assert (mine["kind"], mine["a"], mine["b"]) == (known.kind, known.a, known.b)
        if known.kind is None:
            assert mine["notes"][0] == known.notes[0]
    assert kinds == {"paired", "between", None}


def test_all_genes_are_compared_from_the_page(window: Window, served: Any, atlas: titin.Atlas) -> None:
    window.open(f"{served.address}#page=sets")
    for side, text in (("a", "annotation_level0=FB,MuSC"), ("b", "annotation_level0!=FB,MuSC")):
        window.run("([side, filter]) => titin.keep(side, {filter})", [side, text])
    window.until("document.querySelector('#compare-all') !== null")
    window.page.focus("#compare-all")
    window.page.keyboard.press("Enter")
    window.until("document.querySelector('#compared .chart svg') !== null", seconds=60)
    assert window.run("titin.state()")["tested"] == "all"
    with window.page.expect_download() as saved:
        window.page.click("#compared .scroll ~ button >> nth=0")
    table = pd.DataFrame(csv.DictReader(saved.value.path().read_text("utf-8").splitlines()[1:]))
    a, b = rows_of(atlas, "annotation_level0=FB,MuSC"), rows_of(atlas, "annotation_level0!=FB,MuSC")
    found = compare_selections(atlas, a, b)
    expected = found.table.query("protocol == 'cells'").set_index("gene_id")
    assert set(table["gene_id"]) == set(expected.index)
    for column in ("log2_fold_change", "ci_low", "ci_high", "p_value", "adj_p_value"):
        known = expected.loc[table["gene_id"], column]
        np.testing.assert_allclose(table[column].astype(float), known, **CLOSE)
    shown = window.page.inner_text("#compared")
    assert "11 donors with both in cells" in shown.replace("All genes, ", "")
    assert "nuclei: not compared; too few donors" in shown
    window.page.click("#compared .scroll .link >> nth=0")
    window.until("titin.state().page === 'gene'")
    assert window.said == []


def test_a_comparison_is_cancelled_from_the_page(window: Window, served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def endless(self, a, b, progress):
        progress.start("endless", 10, "genes")
        progress.advance(3)
        try:
            while True:
                progress.advance(0)
                time.sleep(0.01)
        finally:
            ended.set()

    monkeypatch.setattr(comparing.SelectionComparer, "_compare", endless)
    window.open(f"{served.address}#page=sets&tested=all")
    for side, text in (("a", "sex=F"), ("b", "sex=M")):
        window.run("([side, filter]) => titin.keep(side, {filter})", [side, text])
    window.until("document.querySelector('#compared progress')?.value === 3")
    assert window.page.inner_text("#compared [role=status]") == "endless …"
    window.page.click("text=Cancel")
    window.until("document.querySelector('#compared p')?.textContent === 'Cancelled.'")
    assert ended.wait(20)
    monkeypatch.undo()
    window.page.click("text=Try again")
    window.until("document.querySelectorAll('#compared .chart svg').length === 2", seconds=60)


def test_a_static_page_does_not_offer_it(window: Window, hosted: str) -> None:
    window.open(f"{hosted}#page=sets&tested=all")
    for side, text in (("a", "sex=F"), ("b", "sex=M")):
        window.run("([side, filter]) => titin.keep(side, {filter})", [side, text])
    window.until("document.querySelector('#compare-panel') !== null")
    assert window.page.query_selector("#compare-all") is None
    assert window.page.inner_text("#compared") == ""
