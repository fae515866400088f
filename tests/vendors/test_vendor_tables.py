"""Each vendor's constant tables equal the stored lists of their expected entries."""

from __future__ import annotations

import pytest

from tests.vendors.vendor_tables import TABLES, lines_of, vendors


@pytest.mark.parametrize("vendor", vendors())
def test_tables_are_those_of_the_vendor(vendor: str) -> None:
    """A change of a word, path, limit or capability in a vendor's tables fails this test.

    After a change on purpose, `python -m tests.vendors.vendor_tables` writes the tables anew.
    """
    expected = (TABLES / f"{vendor.replace('/', '-')}.txt").read_text("utf-8").splitlines()

    assert expected == lines_of(vendor)


def test_every_table_is_of_a_vendor() -> None:
    """There is exactly one stored list of table entries for each vendor."""
    assert {vendor.replace("/", "-") for vendor in vendors()} == {
        path.stem for path in TABLES.glob("*.txt")
    }
