"""What is printed: no text from a file is taken for a command of the terminal, wherever it stands."""

import io
import json
import re
import warnings
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titin import console, options
from titin.cli import main
from titin.errors import TitinError
from titin.progress import BarProgress, LineProgress
from titin.text import records_table, table, to_json
from titin.visible import visible, visible_json

OBEYED = {
    "clear": "\x1b[2J", "title": "\x1b]0;owned\x07", "link": "\x1b]8;;http://x\x1b\\y\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;ZWNobw==\x07", "C1": "\x9b2J", "return": "good\rbad", "back": "bad\b\b\bgood",
    "bidi": "abc\u202edef\u2066ghi", "line": "a\nerror: all is well", "next line": "a\x85b", "separator": "a\u2028b",
    "bell": "\x07", "nul": "a\x00b", "delete": "\x7f", "markup": "[red]x[/red][link=http://x]y[/link]",
    "bytes": "a\udce9b",
    "form feed": "a\x0cb", "no width": "a\u200bb\ufeff", "tags": "a\U000e0041\U000e007f", "shift out": "\x0eabc",
    "tab": "a\tb", "braces": "{task.description} {0} %s %(x)s",
}  # fmt: skip
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
SGR = re.compile(r"\x1b\[[0-9;]*m")
each = pytest.mark.parametrize("text", OBEYED.values(), ids=OBEYED)


def seen(text: str) -> str:
    """As a person reads it: a line, without the breaks of a narrow terminal."""
    return text.replace("\n", "")


@given(st.text())
def test_visible_text_holds_nothing_that_is_obeyed(text: str) -> None:
    assert not FORBIDDEN.search(visible(text))
    assert "\n" not in visible(text)
    assert visible(visible(text)) == visible(text)
    assert visible(text) == text or FORBIDDEN.search(text) or not text.isprintable() or visible(text) != text


@pytest.mark.parametrize("text", [
    "T cell CD8⁺ αβ", "脂肪細胞", "خلية عضلية", "👩\u200d🔬 fibre", "क्\u200dष", "naïve", "a\\nb", "10 µm – 5 %", "é",
])  # fmt: skip
def test_words_of_any_script_stay_as_they_are(text: str) -> None:
    assert visible(text) == text


@given(st.text())
def test_json_says_the_same_and_can_be_printed(text: str) -> None:
    written = to_json({text: [text]})
    assert not FORBIDDEN.search(written)
    key = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")  # JSON joins halves
    assert json.loads(written) == {key: [key]}
    assert visible_json(written) == written


@each
def test_what_is_said(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.say(f"one {text}\ntwo", err=True)
    document = {"name": text, "more": [{text: text}]}
    options.print_result(document, False, lambda told: f"{told['name']}\n{next(iter(told['more'][0]))}")
    options.print_result({"name": text}, True, str)
    console.complain(text, text)
    out, err = capsys.readouterr()
    assert not FORBIDDEN.search(SGR.sub("", out + err))
    assert len(err.splitlines()) == 2 + text.count("\n") + 2
    assert out.splitlines()[:2] == [visible(text)] * 2


@each
def test_tables(text: str) -> None:
    lines = table((text, "b"), [(text, "1"), ("x", text)]).split("\n")
    assert len(lines) == 3
    assert lines[0].startswith(visible(text))
    assert not FORBIDDEN.search("".join(lines))
    assert visible(text) in records_table([{text: text}])


@each
@pytest.mark.parametrize("kind", [LineProgress, BarProgress])
def test_progress(kind: type, text: str) -> None:
    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self) -> bool:
            return False

    stream = Terminal()
    progress = kind(stream)
    progress.note(text)
    progress.start(text, 10, text)
    progress.advance(5)
    progress.note(text)
    progress.finish()
    assert not FORBIDDEN.search(stream.getvalue())
    assert visible(text) in stream.getvalue()
    assert seen(visible(text)) in seen(stream.getvalue())


def test_bars_on_a_terminal_have_no_escapes_but_those_of_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = io.StringIO()
    bars = console.make_console(file=stream, force_terminal=True, width=200)
    bars.print("\x1b]52;c;x\x07 [red]\x9b2J", markup=False, style="bold")
    assert SGR.search(stream.getvalue())
    assert not FORBIDDEN.search(SGR.sub("", stream.getvalue()))


@each
def test_errors_and_wrong_use(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                              capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    shown = text.replace("\x00", "\x01")  # which no argument can hold
    for arguments in ([shown], ["info", shown], ["info", "--json", shown], ["validate", shown, "--level", shown],
                      ["build", shown, "-o", shown], ["report", shown, "--debug"], ["age", shown, shown],
                      ["info", f"--{shown}"], ["demo", "-o", shown, "--n-cells", shown]):  # fmt: skip
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 2, arguments
    out, err = capsys.readouterr()
    assert out == ""
    assert not FORBIDDEN.search(SGR.sub("", err))


def test_warnings_help_and_bugs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    monkeypatch.setattr("sys.excepthook", lambda *_: None)
    console.guard()
    assert not FORBIDDEN.search(warnings.formatwarning("\x1b[2J", UserWarning, "file", 1))
    try:
        raise ValueError("\x1b[2J")
    except ValueError as error:
        console._bug(type(error), error, error.__traceback__)

    @click.command()
    @click.option("--name", default="\x1b[2J\u202e", show_default=True, help="A name.")
    def command(name: str) -> None:
        del name

    with pytest.raises(SystemExit):
        command.main(["--help"])
    out, err = capsys.readouterr()
    assert r"\x1b[2J\u202e" in out
    assert r"ValueError: \x1b[2J" in err
    assert not FORBIDDEN.search(out + err)


def test_a_stream_that_lacks_letters_has_them_written_out() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    console.say("10 µm – α", file=stream)
    stream.flush()
    assert raw.getvalue() == rb"10 \xb5m \u2013 \u03b1" + b"\n"


def test_styled_text_joined_to_other_text_is_plain_again(capsys: pytest.CaptureFixture[str]) -> None:
    red = console.Styled("\x1b[31mred\x1b[0m")
    console.say(red)  # click takes colours off where there is no terminal
    console.say(red + "\x1b[2J")
    assert capsys.readouterr().out == "red\n\\x1b[31mred\\x1b[0m\\x1b[2J\n"


def test_errors_of_python_keep_their_text() -> None:
    """Only what is printed is written out: a program that catches an error has the name as it is."""
    assert str(TitinError("a\x1bb")) == "a\x1bb"
