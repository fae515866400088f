"""Whoever shows errors with everything that stood in their frames shows no secret."""

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
    """What a host showed of each failure, by who showed it."""
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
    """Neither Django, nor a tracker with its usual settings, nor a pretty traceback."""
    received = [
        f"{name} in the {who} of {case}"
        for case, texts in shown.items()
        if not case.startswith("leak")
        for who, text in texts.items()
        for name in sorted(canaries.heard(text))
    ]

    assert [] == received


def test_each_of_them_would_show_one(shown: dict[str, dict[str, str]], canaries: Canaries) -> None:
    """A secret in plain sight is shown by all of them, so the others were looked for in earnest."""
    for case, texts in shown.items():
        if case.startswith("leak"):
            received = {who: sorted(canaries.heard(text)) for who, text in texts.items()}
            assert {who: ["sight"] for who in texts} == received


def test_they_show_what_happened(shown: dict[str, dict[str, str]]) -> None:
    """What is left says which service failed, and how."""
    for who, text in shown["503 plain"].items():
        assert "VendorFailed" in text, who
        assert "shop" in text, who
