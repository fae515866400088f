"""Official examples and unit tests of the invoice standards, if a variable names their folder.

`MOORAGE_INVOICE_SAMPLES` is a folder with checkouts of `eInvoicing-EN16931`, and optionally of
`peppol-bis-invoice-3` and `xrechnung-testsuite`.
"""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from moorage import InvalidData
from moorage.invoices import (
    EN16931,
    PEPPOL,
    XRECHNUNG,
    Invoice,
    read_cii,
    read_ubl,
    validate,
    write_cii,
    write_ubl,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.invoices import Profile

FOLDER = Path(os.environ.get("MOORAGE_INVOICE_SAMPLES", ""))
pytestmark = pytest.mark.skipif(
    "MOORAGE_INVOICE_SAMPLES" not in os.environ, reason="MOORAGE_INVOICE_SAMPLES names no folder"
)

_VEFA = "{http://difi.no/xsd/vefa/validator/1.0}"
_RULE = re.compile(r"\b(?:BR|UBL|PEPPOL)-[A-Z0-9-]+\b")
EXAMPLES = (
    ("eInvoicing-EN16931/ubl/examples", EN16931),
    ("eInvoicing-EN16931/cii/examples", EN16931),
    ("eInvoicing-EN16931/test/testfiles", EN16931),
    ("peppol-bis-invoice-3/rules/examples", PEPPOL),
    ("xrechnung-testsuite/src/test/business-cases/standard", XRECHNUNG),
    ("xrechnung-testsuite/src/test/technical-cases/cius", XRECHNUNG),
)


def _read_sample(body: bytes) -> Invoice:
    return read_cii(body) if b"CrossIndustryInvoice" in body else read_ubl(body)


def _without_network(invoice: Invoice) -> Invoice:
    """The invoice without the card's network, which CII cannot carry."""
    payment = invoice.payment
    if payment is None or payment.card is None:
        return invoice
    card = attrs.evolve(payment.card, network=None)
    return attrs.evolve(invoice, payment=attrs.evolve(payment, card=card))


@pytest.mark.parametrize("folder, profile", EXAMPLES)
def test_examples_are_valid_and_survive_both_syntaxes(folder: str, profile: Profile) -> None:
    """Each official example is valid, and is the same after writing and reading UBL and CII."""
    paths = sorted((FOLDER / folder).glob("*.xml"))

    assert paths
    for path in paths:
        invoice = _read_sample(path.read_bytes())
        assert not [item for item in validate(invoice, profile) if item.fatal], path.name
        assert read_ubl(write_ubl(invoice)) == invoice, path.name
        if len(invoice.preceding) <= 1:  # CII carries no more
            assert read_cii(write_cii(invoice)) == _without_network(invoice), path.name


def _cases(folder: Path) -> Iterator[tuple[str, bytes, list[tuple[str, str]]]]:
    """Yield the file, the document and the expected rules of each unit test."""
    for path in sorted(folder.glob("*.xml")):
        for case in ET.fromstring(path.read_bytes()).iter(f"{_VEFA}test"):  # noqa: S314 - trusted files that the developer named
            rules = [
                (item.tag.removeprefix(_VEFA), (item.text or "").strip())
                for item in case.iterfind(f"{_VEFA}assert/*")
            ]
            document = next(item for item in case if not item.tag.startswith(_VEFA))
            yield path.name, ET.tostring(document), rules


def _results(folder: str, profile: Profile) -> Counter[str]:
    """Count the expected errors by result: reported, missed, or refused while the file is read."""
    ids = {rule.id for rule in profile.rules}
    counts: Counter[str] = Counter()
    for _, body, rules in _cases(FOLDER / folder):
        try:
            reported = {item.rule for item in validate(_read_sample(body), profile)}
            readable = True
        except InvalidData as error:
            reported = set(_RULE.findall(str(error)))
            readable = False
        for kind, rule in rules:
            if rule not in ids or kind not in {"error", "fatal", "warning", "success"}:
                continue
            if kind == "success":
                counts["false alarm" if rule in reported else "rightly silent"] += 1
            elif rule in reported:
                counts["reported"] += 1
            else:
                counts["missed" if readable else "refused otherwise"] += 1
    return counts


@pytest.mark.parametrize(
    "folder, profile, least, most",
    [
        ("eInvoicing-EN16931/test/Invoice-unit-UBL", EN16931, 340, 1),
        ("eInvoicing-EN16931/test/CreditNote-unit-UBL", EN16931, 98, 1),
        ("peppol-bis-invoice-3/rules/unit-UBL-PEPPOL", PEPPOL, 53, 5),
        ("peppol-bis-invoice-3/rules/unit-CII-PEPPOL", PEPPOL, 31, 3),
    ],
)
def test_unit_tests_of_rules(folder: str, profile: Profile, least: int, most: int) -> None:
    """The official unit tests of the rules have the expected results, with few exceptions.

    The others have elements that are empty, or in a party that no schema allows.
    """
    counts = _results(folder, profile)

    assert counts["reported"] >= least
    assert counts["missed"] <= most
    assert counts["false alarm"] <= 7
