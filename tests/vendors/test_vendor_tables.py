"""The tables of each vendor have the words and meanings that its pages have."""

from __future__ import annotations

import pytest

from tests.vendors.vendor_tables import TABLES, lines_of, vendors


@pytest.mark.parametrize("vendor", vendors())
def test_tables_are_those_of_the_vendor(vendor: str) -> None:
    """No word, meaning, path, limit or capability of a vendor changes unnoticed.

    After a change on purpose, `python -m tests.vendors.vendor_tables` writes the tables anew.
    """
    expected = (TABLES / f"{vendor.replace('/', '-')}.txt").read_text("utf-8").splitlines()

    assert expected == lines_of(vendor)


def test_every_table_is_of_a_vendor() -> None:
    """There is a file of tables for each vendor, and none for another."""
    assert {vendor.replace("/", "-") for vendor in vendors()} == {
        path.stem for path in TABLES.glob("*.txt")
    }
