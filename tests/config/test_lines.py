"""The line numbers of the settings in a configuration file."""

from __future__ import annotations

import json
import tomllib
from time import process_time
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moorage.cli.exit_codes import error_as_dict
from moorage.config.configured import read_configuration
from moorage.config.lines import lines_of
from moorage.config.problems import Report, key, path_below
from moorage.config.toml_text import write_toml
from moorage.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOML = '''# [services.no]
[services.a]
base_url = "http://a.example"  # "a" = 1
retry.max_attempts = "x"
text = """
[services.no]
\\""" no = 1 """"
other = \'\'\'
'no' = 1\'\'\'
[[services.a.limits]]
rate = 1
[[services.a.limits]]
per = 'a "day"'
rate = [
    1, # ]
    { x.y = 2, z = 1979-05-27 07:32:00 },
]
[services."b.c"."\\u0064 \\U00000065"]
inf = -inf
'''

TOML_LINES = {
    "services": 2,
    "services.a": 2,
    "services.a.base_url": 3,
    "services.a.retry": 4,
    "services.a.retry.max_attempts": 4,
    "services.a.text": 5,
    "services.a.other": 8,
    "services.a.limits": 10,
    "services.a.limits[0]": 10,
    "services.a.limits[0].rate": 11,
    "services.a.limits[1]": 12,
    "services.a.limits[1].per": 13,
    "services.a.limits[1].rate": 14,
    "services.a.limits[1].rate[0]": 15,
    "services.a.limits[1].rate[1]": 16,
    "services.a.limits[1].rate[1].x": 16,
    "services.a.limits[1].rate[1].x.y": 16,
    "services.a.limits[1].rate[1].z": 16,
    'services."b.c"': 18,
    'services."b.c"."d e"': 18,
    'services."b.c"."d e".inf': 19,
}

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=5)
PLAIN = st.booleans() | st.integers(-9, 9) | st.text(st.characters(codec="utf-8"), max_size=9)
TREES = st.dictionaries(
    NAMES,
    st.recursive(
        PLAIN,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=9,
    ),
    min_size=1,
    max_size=4,
)


def paths(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of each setting in a tree."""
    entries: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        tables = cast("dict[str, Any]", value).items()
        entries = [(path_below(path, key(name)), entry) for name, entry in tables]
    elif isinstance(value, list):
        items = value
        entries = [(f"{path}[{number}]", entry) for number, entry in enumerate(items)]
    for entry_path, entry in entries:
        yield entry_path
        yield from paths(entry, entry_path)


def test_toml_setting_has_the_line_of_its_key_or_table() -> None:
    """Each setting of a TOML string has the line of its key, or of its table's header."""
    assert TOML_LINES == lines_of(TOML)
    assert set(paths(tomllib.loads(TOML))) == set(TOML_LINES)
    assert TOML_LINES == lines_of(TOML.replace("\n", "\r\n"))


def test_lines_end_at_a_mistake() -> None:
    """In a malformed file, the settings before the mistake still have their line numbers."""
    assert {"a": 1} == lines_of("a = 1\n= 2\nb = 3")


@given(TREES)
@example({"\x1e": [False, False], "\x1f": [False]})
def test_each_json_setting_has_a_line(tree: dict[str, Any]) -> None:
    """Each setting of a JSON string has a line, and the lines are in the order of the settings."""
    text = json.dumps(tree, indent=1)
    lines = lines_of(text)
    settings = list(paths(tree))
    assert set(settings) == set(lines)
    assert max(lines.values()) <= text.count("\n")
    if len(lines) == len(settings):  # control characters look alike in paths
        assert sorted(lines.values()) == list(lines.values())


@given(TREES)
def test_each_toml_setting_has_a_line(tree: dict[str, Any]) -> None:
    """Each setting of a TOML string has a line."""
    text = write_toml(tree)
    assert set(paths(tomllib.loads(text))) == set(lines_of(text))


@pytest.mark.parametrize(
    "name, text",
    [
        ("m.toml", "[services.a]\nbase_url = 'http://a'\n\n[services.a.retry]\nmax_attempts = 'x'"),
        ("m.json", '{"services":\n{"a": {"retry": {\n\n\n"max_attempts": "x"},\n"base_url": ""}}}'),
        ("m.yaml", "services:\n  a:\n    base_url: http://a\n    retry:\n      max_attempts: x\n"),
    ],
)
def test_problem_names_the_line_of_the_wrong_setting(name: str, text: str, tmp_path: Path) -> None:
    """Each problem of a file has the line of the wrong setting, in its text and as an attribute."""
    if name.endswith("yaml"):
        pytest.importorskip("yaml")
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(ConfigurationError) as excinfo:
        read_configuration(file)
    problem = excinfo.value.problems[0]
    assert ("services.a.retry.max_attempts", 5) == (problem.path, problem.line)
    assert "services.a.retry.max_attempts (line 5): " in str(excinfo.value)
    assert 5 == error_as_dict(excinfo.value)["problems"][0]["line"]


def test_missing_setting_has_the_line_of_its_table(tmp_path: Path) -> None:
    """The problem of a missing setting has the line of the table that lacks it."""
    file = tmp_path / "moorage.toml"
    file.write_text("\n[services.a]\nbase_url = 'http://a'\n[vendors.twilio]\n")
    with pytest.raises(ConfigurationError) as excinfo:
        read_configuration(file)
    assert {4} == {problem.line for problem in excinfo.value.problems}


def test_setting_in_the_table_of_an_environment_has_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting in an environment's table has a line number.

    A setting from an environment variable has none.
    """
    file = tmp_path / "moorage.toml"
    file.write_text(
        "[services.a]\nbase_url = 'http://a'\ntimeout = 5\n"
        "[environments.production.services.a]\ntimeout = -1\n"
    )
    monkeypatch.setenv("MOORAGE_SERVICES__A__COST", "-1")
    with pytest.raises(ConfigurationError) as excinfo:
        read_configuration(file, "production")
    lines = {problem.path: problem.line for problem in excinfo.value.problems}
    assert 5 == lines["services.a.timeout"]
    assert None is lines["services.a.cost"]
    assert "(from the environment production, line 5)" in str(excinfo.value)


@pytest.mark.parametrize(
    "text, expected",
    [
        (
            "[services.a]\nbase_url = 'http://a'\ntimeout = 1" + "0" * 400,
            "services.a.timeout (line 3)",
        ),
        ("\nversion = 'x'", "version (line 2)"),
        ("a = " + "[" * 60 + "]" * 60, "configuration: The configuration is nested too deeply."),
        ("a = " + "[" * 300 + "]" * 300, "configuration: The configuration is nested too deeply."),
    ],
)
def test_early_errors_name_the_file(text: str, expected: str, tmp_path: Path) -> None:
    """An error that prevents reading contains the file's name and the line."""
    file = tmp_path / "moorage.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as excinfo:
        read_configuration(file)
    assert str(excinfo.value).startswith(f"{file}: {expected}")


def test_control_characters_in_a_path_are_shown_as_question_marks(tmp_path: Path) -> None:
    """In a path, question marks replace characters that could control a terminal."""
    file = tmp_path / "moorage.json"
    file.write_text(json.dumps({"services": {"a\ud800\x1b[31m\x9b\u202e\n🦊é": {"base_url": "x"}}}))
    with pytest.raises(ConfigurationError) as excinfo:
        read_configuration(file)
    assert 'services."a??[31m???🦊é".base_url' == excinfo.value.problems[0].path
    assert str(excinfo.value).replace("\n", "").isprintable()


@pytest.mark.untraced
def test_many_problems_take_time_in_proportion() -> None:
    """Collecting eight times as many problems takes about eight times as long, not 64 times."""
    durations: list[float] = []
    for count in (2_500, 20_000):
        report = Report()
        start = process_time()
        for number in range(count):
            report.add(f"services.a.k{number}", "The setting is unknown.", "Remove it.")
        durations.append(process_time() - start)
    assert durations[1] < 24 * durations[0] + 0.5


def test_problems_without_a_file_have_no_line() -> None:
    """A problem of a configuration passed as a mapping has no line."""
    with pytest.raises(ConfigurationError) as excinfo:
        read_configuration({"services": {"a": {"base_url": "http://a", "timeout": -1}}})
    (problem,) = excinfo.value.problems
    assert None is problem.line
    assert "a (line 3): B. C." == str(Problem("a", "B.", "C.", line=3))
