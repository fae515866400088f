"""moorage reads each vendor's status words as the vendor's documents define them."""

from __future__ import annotations

import pytest

from tests.vendors.vendor_tables import lines_of, vendors
from tools.documented_words import FOLDER, entries_of

CONTRACTS = {name: contract for contract, name in (path.split("/") for path in vendors())}


@pytest.mark.parametrize("vendor", sorted(file.stem for file in FOLDER.glob("*.toml")))
def test_documented_words_have_their_meanings(vendor: str) -> None:
    """Each word that was found in a vendor's documents has its meaning in the vendor's tables."""
    lines = {line.replace("'", "") for line in lines_of(f"{CONTRACTS[vendor]}/{vendor}")}
    entries = list(entries_of(vendor))

    wrong_words = [
        entry
        for entry in entries
        if f"{entry[0]} {entry[1]} = {entry[2]}" not in lines
        and f"{entry[0]} {entry[2]} {entry[1]}" not in lines
    ]
    assert entries
    assert [] == wrong_words
