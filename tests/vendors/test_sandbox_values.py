"""The test values in the tables of vendors' pages work in the sandboxes as described."""

from __future__ import annotations

import pytest

from tests.vendors.sandbox_values import PAGES, TITLE, VENDORS, section, table


@pytest.mark.parametrize("vendor", VENDORS)
def test_sandbox_gives_the_results_on_the_page(vendor: str) -> None:
    """Each test value on a vendor's page gives the stated result in the vendor's sandbox.

    After a change on purpose, `python -m tests.vendors.sandbox_values` writes the tables anew.
    """
    assert table(vendor) == section(vendor)


def test_every_table_of_test_values_is_checked() -> None:
    """Each table of test values on a vendor's page is used by a test."""
    pages = (path for path in PAGES.glob("*.md") if TITLE in path.read_text("utf-8"))

    assert sorted(VENDORS) == sorted(path.stem for path in pages)
