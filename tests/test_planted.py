"""The verdict on a test run against code with a deliberately planted mistake."""

from __future__ import annotations

import signal

import pytest

from tools.trials import Verdict, differs, run_items, verdict


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


@pytest.mark.parametrize("count", [0, 1, 3])
def test_collected_tests_run_in_their_order(request: pytest.FixtureRequest, count: int) -> None:
    """Each test of a list runs once, with the test after it; an empty list runs no test.

    With one vendor, no test is left besides those for all vendors.
    """
    runs: list[tuple[object, object]] = []

    class Protocol:
        """A pytest plugin that notes the tests to run."""

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_protocol(self, item: pytest.Item, nextitem: object) -> bool:
            """Record a test instead of running it."""
            runs.append((item, nextitem))
            return True

    items = [
        pytest.Function.from_parent(request.node.parent, name=f"t{number}", callobj=lambda: None)
        for number in range(count)
    ]
    plugins = request.config.pluginmanager
    plugin = Protocol()
    plugins.register(plugin)
    try:
        run_items(items)
    finally:
        plugins.unregister(plugin)

    assert runs == list(zip(items, [*items[1:], None][:count], strict=True))
