"""Configurations with very many mistakes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import ConfigurationError
from moorage.config.problems import Report

if TYPE_CHECKING:
    from collections.abc import Callable


def _misspelt_options(count: int) -> dict[str, Any]:
    services = {
        f"s{number}": {"base_url": "https://a.example", "timout": 3} for number in range(count)
    }
    return {"services": services}


def _unset_variables(count: int) -> dict[str, Any]:
    services = {
        f"s{number}": {"base_url": "https://a.example", "credentials": f"${{UNSET{number}}}"}
        for number in range(count)
    }
    return {"services": services}


def _overlaid_mistakes(count: int) -> dict[str, Any]:
    plain_services = {f"s{number}": {"base_url": "https://a.example"} for number in range(count)}
    mistakes = {f"s{number}": {"timout": 3} for number in range(count)}
    return {"services": plain_services, "environments": {"x": {"services": mistakes}}}


def _unknown_keys(count: int) -> dict[str, Any]:
    return {f"unknown_key_{number:04}": 3 for number in range(count)}


def _function_calls(configuration: dict[str, Any], environment: str | None) -> int:
    """Return how many functions are called until a wrong configuration is refused."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        with pytest.raises(ConfigurationError):
            moorage.open(configuration, environment=environment)
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize(
    "configuration, environment",
    [
        (_misspelt_options, None),
        (_unset_variables, None),
        (_overlaid_mistakes, "x"),
        (_unknown_keys, None),
    ],
    ids=["misspelt", "unset", "overlaid", "opaque"],
)
def test_work_grows_linearly_with_the_mistakes(
    configuration: Callable[[int], dict[str, Any]], environment: str | None
) -> None:
    """Twice as many mistakes cause at most about twice as many function calls."""
    _function_calls(configuration(1), environment)  # Loads the modules.
    some_calls = _function_calls(configuration(100), environment)
    more_calls = _function_calls(configuration(200), environment)
    assert more_calls < 2.3 * some_calls


def test_errors_suggest_names_only_for_the_first_unknown_settings() -> None:
    """After a thousand different unknown setting names, errors no longer suggest a name."""
    report = Report()
    for number in range(1_000):
        report.similar_word(f"junk{number}", ["timeout"])
    assert report.similar_word("timout", ["timeout"]) is None
    assert "timeout" == Report().similar_word("timout", ["timeout"])


def test_problem_is_found_at_every_path_around_it() -> None:
    """A problem is found at its own path and at each enclosing path, but not at similar paths."""
    report = Report()
    report.add("steps[2].name", "It is wrong.", "Mend it.")
    assert not any(map(report.has_no_problem, ("steps[2].name", "steps[2]", "steps")))
    assert all(
        map(report.has_no_problem, ("", "step", "steps[2].names", "steps[2].name.x", "steps[1]"))
    )


def test_unreadable_secret_is_excused_once() -> None:
    """If the only problem of a table is an unreadable secret, the table counts as valid."""
    report = Report()
    report.add("vendors.a.key", "It cannot be read.", "Set it.")
    report.unreadable_placeholder("vendors.a.key")
    report.unreadable_placeholder("vendors.a.key")
    assert all(map(report.has_no_problem, ("vendors.a.key", "vendors.a", "vendors")))
    unreadable_paths = ("vendors", "vendors.a", "vendors.a.key", "vendors.a.key[0]")
    assert all(map(report.is_unreadable_at, unreadable_paths))
    assert not any(map(report.is_unreadable_at, ("vendors.b", "vendor", "vendors.a.keys")))
    report.add("vendors.a.host", "It is wrong.", "Mend it.")
    assert (True, False) == (
        report.has_no_problem("vendors.a.key"),
        report.has_no_problem("vendors.a"),
    )
