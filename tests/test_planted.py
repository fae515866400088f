"""The verdict on a test run against code with a deliberately planted mistake."""

from __future__ import annotations

import signal

import pytest

from tools.trials import Verdict, differs, verdict


@pytest.mark.parametrize(
    "exit_code, expected",
    [
        (0, Verdict.SURVIVES),
        (1, Verdict.CAUGHT),
        (2, Verdict.CAUGHT),
        (-signal.SIGSEGV, Verdict.CAUGHT),
        (-signal.SIGXCPU, Verdict.UNDECIDED),
        (-signal.SIGALRM, Verdict.UNDECIDED),
    ],
)
def test_planted_mistake_counts_as_caught_if_tests_fail(exit_code: int, expected: Verdict) -> None:
    """If tests fail, the planted mistake counts as caught.

    A run that is cut off decides nothing.
    """
    assert expected is verdict(exit_code)


def test_planted_mistake_that_breaks_an_import_counts_as_caught() -> None:
    """A planted mistake that breaks a vendor's import counts as caught."""

    def raise_import_error() -> list[str]:
        raise ValueError("zip() argument 2 is shorter than argument 1")

    assert (True, True, False) == (
        differs(raise_import_error, ["a"]),
        differs(lambda: ["b"], ["a"]),
        differs(lambda: ["a"], ["a"]),
    )
