"""Tools that show errors with their local variables show no secret."""

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
def _shown(canaries: Canaries) -> dict[str, dict[str, str]]:
    """Return the output of each tool of a host for each failure."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.security.host"],
        input=json.dumps({name: canaries.plant(name) for name in _SECRETS}),
        capture_output=True,
        text=True,
        cwd=_ROOT,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    answer: dict[str, dict[str, str]] = json.loads(done.stdout)
    return answer


def test_no_page_mail_or_report_shows_a_secret(
    shown: dict[str, dict[str, str]], canaries: Canaries
) -> None:
    """Neither Django, nor a tracker, nor a pretty traceback shows a secret."""
    received = [
        f"{name} in the {who} of {case}"
        for case, texts in shown.items()
        if not case.startswith("leak")
        for who, text in texts.items()
        for name in sorted(canaries.heard(text))
    ]

    assert [] == received


def test_each_tool_shows_an_unprotected_secret(
    shown: dict[str, dict[str, str]], canaries: Canaries
) -> None:
    """Every tool shows a secret in a local variable, so the other test is meaningful."""
    for case, texts in shown.items():
        if case.startswith("leak"):
            received = {who: sorted(canaries.heard(text)) for who, text in texts.items()}
            assert {who: ["sight"] for who in texts} == received


def test_they_show_what_happened(shown: dict[str, dict[str, str]]) -> None:
    """The reports still name the service and the failure."""
    for who, text in shown["503 plain"].items():
        assert "VendorFailed" in text, who
        assert "shop" in text, who
