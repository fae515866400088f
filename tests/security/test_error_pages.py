"""Tools that show errors with local variables show no secret of moorage."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.security.canaries import Canaries

_SECRETS = ("header", "query", "body", "credential", "bearer", "service", "answer", "sight")
_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", name="canaries")
def _canaries() -> Canaries:
    return Canaries()


@pytest.fixture(scope="module", name="shown")
def _tool_outputs(canaries: Canaries) -> dict[str, dict[str, str]]:
    """Return the output of each error tool for each failure."""
    finished_process = subprocess.run(
        [sys.executable, "-m", "tests.security.host"],
        input=json.dumps({name: canaries.plant(name) for name in _SECRETS}),
        capture_output=True,
        text=True,
        cwd=_ROOT,
        check=False,
    )
    assert 0 == finished_process.returncode, finished_process.stderr
    answer: dict[str, dict[str, str]] = json.loads(finished_process.stdout)
    return answer


def test_no_page_mail_or_report_shows_a_secret(
    shown: dict[str, dict[str, str]], canaries: Canaries
) -> None:
    """Neither Django's error page, an error tracker nor a formatted traceback shows a secret."""
    found_leaks = [
        f"{name} in the {person_name} of {case}"
        for case, texts in shown.items()
        if not case.startswith("leak")
        for person_name, text in texts.items()
        for name in sorted(canaries.heard(text))
    ]

    assert [] == found_leaks


def test_each_tool_shows_an_unprotected_secret(
    shown: dict[str, dict[str, str]], canaries: Canaries
) -> None:
    """Each error tool does show an unprotected secret, so a test with it can detect leaks."""
    for case, texts in shown.items():
        if case.startswith("leak"):
            found_names = {
                person_name: sorted(canaries.heard(text)) for person_name, text in texts.items()
            }
            assert {tool_name: ["sight"] for tool_name in texts} == found_names


def test_error_reports_still_name_service_and_failure(shown: dict[str, dict[str, str]]) -> None:
    """Error reports still name the service and the failure."""
    for person_name, text in shown["503 sync"].items():
        assert "VendorFailed" in text, person_name
        assert "shop" in text, person_name
