"""Options mean one thing in every command, and nothing is overwritten unasked."""

from collections import defaultdict
from pathlib import Path

import click
import pytest

from titin.cli import cli, main

READS_ONLY = {"info", "diff", "doctor", "explore"}
INTO_ITS_DATASET = {"embed", "card"}  # DATASET itself is what they write
CHANGES_WHAT_IS_NAMED = {"relabel", "roles", "age tables"}  # of DATASET, which is what they are asked for
KEPT_BY_THE_HUB = {"publish"}  # a commit more; every earlier one stays
FORMER = {
    ("build", "--method"): "--technology",
    ("embed", "--genes"): "--which-genes",
    ("validate", "--report"): "--output",
    ("bench", "--min-donors"): "--class-donors",
    ("bench", "--min-cells"): "--class-cells",
    ("demo", "--cells"): "--n-cells",
    ("demo", "--genes"): "--n-genes",
} | {(f"age {name}", "--level"): "--cell-type-level" for name in (
    "de", "composition", "programmes", "senescence", "fibres", "stemcells", "variance")}  # fmt: skip


# build is told which columns there are, age what stands in them, relabel what will; bench trains, annotate applies
TWO_MEANINGS = {
    "--cell-type": {"COLUMN", "NAME"}, "--obs": {"COLUMNS", "TABLE"}, "--model": {"NAME", "DATASET|FILE"},
}  # fmt: skip


def commands() -> dict[str, click.Command]:
    """All commands but groups, by name; those of groups after the group's."""
    context, found = click.Context(cli), {}
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        if isinstance(command, click.Group):
            found |= {f"{name} {own}": inner for own, inner in command.commands.items()}
        elif command is not None:
            found[name] = command
    return found


ALL = commands()


def options_of(command: click.Command, *, hidden: bool = False) -> list[click.Option]:
    return [one for one in command.params if isinstance(one, click.Option) and one.hidden == hidden]


def meaning(option: click.Option) -> tuple[object, ...]:
    """What a user is told of an option; its default, choices, and whether several can be named may differ."""
    kind = option.type.name if not isinstance(option.type, click.Choice) else "choice"
    return option.help, option.metavar, kind, option.is_flag, option.envvar


def test_an_option_of_one_name_is_one_option() -> None:
    meanings = defaultdict(lambda: defaultdict(list))
    for name, command in ALL.items():
        for option in options_of(command):
            for spelling in (*option.opts, *option.secondary_opts):
                meanings[spelling][meaning(option)].append(name)
    assert {"--output", "--force", "--seed", "--format", "--genes"} <= set(meanings)
    several = {spelling: {told[1] for told in found} for spelling, found in meanings.items() if len(found) > 1}
    assert several == TWO_MEANINGS


def test_a_setting_of_one_name_is_one_option() -> None:
    """Settings for all commands in titin.toml reach each option of that name."""
    spelled = defaultdict(set)
    for command in ALL.values():
        for option in options_of(command):
            spelled[option.name].add(option.opts[-1] if option.opts[0] != "--format" else "--format")
    assert {name: found for name, found in spelled.items() if len(found) > 1} == {}


@pytest.mark.parametrize("name", ALL)
def test_every_command_that_writes_has_output_and_force(name: str) -> None:
    has = {spelling for option in options_of(ALL[name]) for spelling in option.opts}
    assert {"--json", "--quiet", "-q", "--debug"} <= has
    assert ("--force" in has) == (name not in READS_ONLY | KEPT_BY_THE_HUB | CHANGES_WHAT_IS_NAMED)
    assert ({"-o", "--output"} <= has) == (
        name not in READS_ONLY | KEPT_BY_THE_HUB | CHANGES_WHAT_IS_NAMED | INTO_ITS_DATASET
    )


@pytest.mark.parametrize("name", ALL)
def test_every_option_says_what_it_does(name: str) -> None:
    for option in options_of(ALL[name]):
        assert option.help, option.opts
        assert option.help.endswith((".", "]", "…")), option.help


@pytest.mark.parametrize(("name", "old"), FORMER)
def test_former_spellings_are_hidden_and_known(name: str, old: str) -> None:
    new = FORMER[name, old]
    hidden = [option for option in options_of(ALL[name], hidden=True) if old in option.opts]
    shown = [option for option in options_of(ALL[name]) if new in option.opts]
    assert len(hidden) == len(shown) == 1


def test_no_other_spelling_is_hidden() -> None:
    hidden = {(name, option.opts[0]) for name, command in ALL.items() for option in options_of(command, hidden=True)}
    assert hidden == set(FORMER)


@pytest.mark.parametrize("quiet", [[], ["-q"]])
def test_a_former_spelling_does_what_the_new_one_does_and_says_so(
    quiet: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["validate", str(tmp_path / "none"), "--report", str(tmp_path / "r"), "--no-report", *quiet])
    said = capsys.readouterr().err
    assert "--output and --no-report contradict each other" in said
    assert ("warning: --report is now called --output" in said) == (not quiet)


def test_a_setting_under_its_former_name_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("titin.toml").write_text('[validate]\nreport = "there"\n')
    with pytest.raises(SystemExit):
        main(["validate", "none", "--no-report"])
    assert "--output and --no-report contradict each other" in capsys.readouterr().err


@pytest.mark.parametrize("section", ["", "own"])
@pytest.mark.parametrize(
    "name", [name for name in ALL if name not in READS_ONLY | CHANGES_WHAT_IS_NAMED | {"card", "site"}]
)
def test_settings_reach_every_command(
    name: str, section: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TITIN_THREADS", raising=False)
    Path("titin.toml").write_text((f"[{name.split()[0]}]\n" if section else "") + "threads = 'many'\n")
    arguments = [one for one in ALL[name].params if isinstance(one, click.Argument) and one.required]
    needed = [word for one in ALL[name].params if isinstance(one, click.Option) and one.required
              for word in (one.opts[0], "mtx")]  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        main([*name.split(), *("none" for _ in arguments), *needed])
    assert ended.value.code == 2
    assert "'many' is not a valid int" in capsys.readouterr().err


def test_a_common_setting_may_be_that_of_a_grouped_command_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("titin.toml").write_text("contrast = 'young_old'\n")
    main(["doctor", "--help"])
    Path("titin.toml").write_text("contrasts = 'young_old'\n")
    with pytest.raises(SystemExit):
        main(["doctor", "--help"])
    assert "did you mean contrast?" in capsys.readouterr().err
