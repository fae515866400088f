"""Invalid configurations; each mistake is reported with a path and a remedy."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import ConfigurationError
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.config import read_configuration
from moorage.errors import Problem
from tests.config.broken import OTHERS, STRUCTURAL, vendor

if TYPE_CHECKING:
    from pathlib import Path

BROKEN = [*STRUCTURAL, *OTHERS]


@pytest.mark.parametrize(
    "source, path, remedy", BROKEN, ids=[f"{place}-{row[1]}" for place, row in enumerate(BROKEN)]
)
def test_each_mistake_has_a_path(source: Any, path: str, remedy: str) -> None:
    """Each mistake in a configuration is one problem, with its exact path and a remedy."""
    with pytest.raises(ConfigurationError) as excinfo:
        moorage.open(source, credentials=MemoryCredentialProvider())

    (problem,) = excinfo.value.problems
    assert path == problem.path == excinfo.value.path
    assert remedy in problem.remedy
    assert problem.found
    assert str(problem) == str(excinfo.value)


def test_all_mistakes_of_a_configuration_are_reported_together() -> None:
    """All mistakes of a configuration are reported together, one per line."""
    source = {
        **vendor(account_sid="x", tymeout=3, limits=[{"rate": 1}, {"rate": 0}]),
        "sms": {"vendor": "twillio", "prefer": "price"},
        "state": {"url": "secret://env/NOT_SET_0"},
        "services": {"a": {"base_url": "ftp:", "timeout": "${NOT_SET_0}"}},
    }

    with pytest.raises(ConfigurationError) as excinfo:
        read_configuration(source)

    paths = [problem.path for problem in excinfo.value.problems]
    assert {
        "state.url",
        "services.a.timeout",
        "services.a.base_url",
        "vendors.twilio.account_sid",
        "vendors.twilio.tymeout",
        "vendors.twilio.limits[1].rate",
        "sms.prefer",
    } <= set(paths)
    first, *lines = str(excinfo.value).splitlines()
    assert f"{len(paths)} problems in the configuration:" == first
    assert [f"  {problem}" for problem in excinfo.value.problems] == lines
    unpickled_error = pickle.loads(pickle.dumps(excinfo.value))  # noqa: S301 - our own
    assert excinfo.value.problems == unpickled_error.problems
    assert str(excinfo.value) == str(unpickled_error)


def test_text_of_an_error_is_bounded() -> None:
    """The text of an error shows a hundred problems at most; `problems` has all of them."""
    source = {"services": {f"s{number}": {"timeout": -1} for number in range(150)}}

    with pytest.raises(ConfigurationError) as excinfo:
        read_configuration(source)

    first, *lines, last = str(excinfo.value).splitlines()
    count = len(excinfo.value.problems)
    assert 150 <= count
    assert f"{count} problems in the configuration:" == first
    assert [f"  {problem}" for problem in excinfo.value.problems[:100]] == lines
    assert f"  {count - 100} more are in `problems`." == last


def test_configuration_error_that_is_created_with_message_and_path_has_one_problem() -> None:
    """A ConfigurationError created with a message and a path contains one problem."""
    error = ConfigurationError("this is wrong.", path="a.b", remedy="Correct it.")

    assert (Problem("a.b", "this is wrong.", "Correct it."),) == error.problems
    assert "a.b: this is wrong. Correct it." == str(error)


@pytest.mark.parametrize("count", [1, 2])
def test_error_begins_with_the_configuration_file(count: int, tmp_path: Path) -> None:
    """The text of an error begins with the file in which the settings are wrong."""
    file = tmp_path / "moorage.toml"
    wrong_settings = ["retry.max_attempts = 'x'", "timeout = -1"][:count]
    file.write_text("\n".join(["[services.a]", "base_url = 'http://a.example'", *wrong_settings]))

    with pytest.raises(ConfigurationError) as excinfo:
        read_configuration(file)

    text = str(excinfo.value)
    beginnings = [
        f"{file}: services.a.retry.max_attempts (line 3): ",
        f"2 problems in {file}:\n",
    ]
    assert text.startswith(beginnings[count - 1])
    assert text == str(pickle.loads(pickle.dumps(excinfo.value)))  # noqa: S301 - our own
