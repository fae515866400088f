"""Documentation pages about embedding show no credentials in plain text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
GIVEN = re.compile(
    r"""["']?(?:credentials|webhook_secrets|client_secret|KEYS)["']?(?: = |: )\[?(.+)"""
)
KEPT = re.compile(r"""["']secret://|(?:moorage\.)?Secret\(|os\.environ""")


@pytest.mark.parametrize("page, check", [("django.md", "W009"), ("flask.md", "secret-in-settings")])
def test_pages_show_no_plain_credential(page: str, check: str) -> None:
    """Credentials on the pages are references or Secrets.

    A page names the check for secrets in plain text.
    """
    text = (PAGES / page).read_text("utf-8")
    options = GIVEN.findall(text)

    assert options
    assert [] == [value for value in options if KEPT.match(value) is None]
    assert "moorage.Secret(" in text
    assert check in text
