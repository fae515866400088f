"""moorage's rules agree with the verdicts of the official Schematron files on the same documents.

`python -m tools.invoice_verdicts FOLDER` recorded the verdicts, and records them again.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from moorage import InvalidData
from moorage.invoices import read_cii, read_ubl, validate, write_cii, write_ubl
from tests.invoices.spoiled_documents import GROUPS, PROFILES, SYNTAXES, documents, kinds

_FOLDER: Final = Path(__file__).parent / "verdicts"
_STOPPED: Final = "stopped"

ACCEPTED_HERE: Final = {
    "PEPPOL-EN16931-R008": "an empty element is read as a missing one",
    "PEPPOL-EN16931-F001": "an empty date is read as a missing one",
    "BR-CL-": "an empty code is read as a missing one",
    "BR-CO-09": "an empty VAT identifier is read as a missing one",
    "BR-29": "CII's rule refuses a period without a start or an end, and the norm allows it",
    "BR-30": "CII's rule refuses a period without a start or an end, and the norm allows it",
    "BR-51": "the norm recommends it, and UBL's rule warns",
    "BR-52": "a tender without a number is read as a missing one",
    "PEPPOL-EN16931-R053": "a missing total VAT of zero in CII is read as zero",
    "PEPPOL-EN16931-R002": "UBL's rule allows several notes between German parties",
    "DE-R-": "Peppol's national rules are not in the profile; XRechnung has them",
    "UBL-SR-43": "a reference without a type is read as a supporting document",
    "UBL-SR-53": "a tax registration without a scheme is not read",
    "CII-DT-": "a rule of CII's structure about a reference or a date",
    "CII-SR-": "a rule of CII's structure about an element without content",
}
"""Official rules, or beginnings of their names, with a reason why moorage accepts a violation."""

REFUSED_HERE: Final = {
    "BR-17": "CII's rule accepts an empty name, and a payee with the seller's trading name",
    "BR-22": "an empty quantity is read as a missing one",
    "BR-41": "an empty amount is read as a missing one",
    "BR-43": "an empty amount is read as a missing one",
    "BR-52": "UBL's rule accepts an empty number of a line's object, and CII's refuses it",
    "BR-55": "an empty number is read as a missing one",
    "BR-56": "an empty VAT identifier is read as a missing one",
    "BR-53": "an empty total is read as a missing one",
    "BR-54": "an empty name or value is read as a missing one",
    "UBL-DT-06": "UBL's rule holds in both syntaxes, so that an invoice can be written in both",
    "UBL-DT-07": "UBL's rule holds in both syntaxes, so that an invoice can be written in both",
    "PEPPOL-EN16931-R003": "an empty reference is read as a missing one",
}
"""moorage's rules, each with a reason why the official rules of a syntax accept a violation."""

UNCONFIRMED: Final = {
    "BR-22": "an invoice without a quantity is written with the unit alone, which passes as one",
}
"""Rules that no official file reports on their document, each with the reason."""

IDENTICAL: Final = {
    ("en16931", "ubl"): 418,
    ("en16931", "cii"): 404,
    ("peppol", "ubl"): 120,
    ("peppol", "cii"): 82,
    ("xrechnung", "ubl"): 118,
    ("xrechnung", "cii"): 108,
}
"""The least number of documents on which both name exactly the same rules. On most of the others
an official rule that needs a removed element fails as well."""


@cache
def _recorded(profile: str, syntax: str) -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads((_FOLDER / f"{profile}_{syntax}.json").read_text("utf-8"))
    return recorded


def _official_rules(profile: str, syntax: str) -> dict[str, list[str]]:
    """Return the violated official rules of each document."""
    verdicts: dict[str, list[str]] = _recorded(profile, syntax)["verdicts"]
    return {name: rules.split() for rules, names in verdicts.items() for name in names}


@cache
def _own_rules(profile: str, syntax: str) -> dict[str, dict[str, bool] | None]:
    """Return the rules that each document violates, and whether each is fatal.

    The value of an unreadable document is None.
    """
    read = read_ubl if syntax == "ubl" else read_cii
    result: dict[str, dict[str, bool] | None] = {}
    for name, body in documents(profile, syntax):
        try:
            items = validate(read(body), PROFILES[profile])
        except InvalidData:
            result[name] = None
        else:
            result[name] = {item.rule: item.fatal for item in items}
    return result


def _fatal_rules(rules: list[str]) -> set[str]:
    return {rule for rule in rules if ":" not in rule}


def _is_explained(rule: str, table: dict[str, str]) -> bool:
    return any(rule == name or (name.endswith("-") and rule.startswith(name)) for name in table)


@pytest.mark.parametrize("profile, syntax", GROUPS)
def test_documents_are_those_with_a_verdict(profile: str, syntax: str) -> None:
    """The documents are byte for byte the same as when the official verdicts were recorded."""
    digest = hashlib.sha256()
    for _, body in documents(profile, syntax):
        digest.update(body)

    assert _recorded(profile, syntax)["documents"] == digest.hexdigest(), (
        "moorage writes other documents; run `python -m tools.invoice_verdicts FOLDER`"
    )


@pytest.mark.parametrize("profile, syntax", GROUPS)
def test_moorage_and_official_rules_accept_the_same_documents(profile: str, syntax: str) -> None:
    """Moorage and the official rules accept the same documents, with explained exceptions."""
    violations = _own_rules(profile, syntax)
    unexplained: list[tuple[str, str]] = []
    for name, rules in _official_rules(profile, syntax).items():
        official = _fatal_rules(rules)
        violated = violations[name]
        if violated is None or official == {_STOPPED}:
            continue  # both refuse it, or a parser does before any rule
        fatal = {rule for rule, is_fatal in violated.items() if is_fatal}
        table = REFUSED_HERE if fatal else ACCEPTED_HERE
        if bool(official) != bool(fatal):
            unexplained += [
                (name, rule) for rule in official | fatal if not _is_explained(rule, table)
            ]

    assert unexplained == []


@pytest.mark.parametrize("profile, syntax", GROUPS)
def test_moorage_and_official_files_name_the_same_rules(profile: str, syntax: str) -> None:
    """On most documents moorage and the official files name exactly the same rules."""
    common = set(_recorded(profile, syntax)["rules"])
    violations = _own_rules(profile, syntax)
    identical = 0
    for name, rules in _official_rules(profile, syntax).items():
        official = {rule.partition(":")[0] for rule in rules}
        violated = violations[name]
        identical += violated is not None and official & common == violated.keys() & common

    assert identical >= IDENTICAL[profile, syntax]


@pytest.mark.parametrize("profile", PROFILES)
def test_official_files_name_the_broken_rule(profile: str) -> None:
    """A field that breaks a rule of moorage breaks the same official rule in UBL or CII."""
    confirmed: dict[str, bool] = {}
    for syntax in SYNTAXES:
        common = set(_recorded(profile, syntax)["rules"])
        for name, rules in _official_rules(profile, syntax).items():
            _, breaking, change = name.partition(" breaking ")
            rule = change.partition(" ")[0]
            if breaking and rule in common:
                ids = {item.partition(":")[0] for item in rules}
                confirmed[name] = confirmed.get(name, False) or rule in ids or ids == {_STOPPED}

    unconfirmed = [name for name, is_confirmed in confirmed.items() if not is_confirmed]
    assert len(confirmed) >= 30
    assert [name for name in unconfirmed if not any(rule in name for rule in UNCONFIRMED)] == []


@pytest.mark.parametrize("profile, syntax", GROUPS)
def test_valid_documents_are_officially_valid(profile: str, syntax: str) -> None:
    """The official rules accept each kind of invoice, and both syntaxes give the same invoice.

    XRechnung's own rules refuse the invoice with all fields, which has two means of payment.
    """
    official = _official_rules(profile, syntax)
    for name, invoice in kinds(PROFILES[profile]).items():
        fatal = _fatal_rules(official[name]) - {"BR-DE-23-b"}
        assert [rule for rule in fatal if not _is_explained(rule, ACCEPTED_HERE)] == [], name
        assert read_ubl(write_ubl(invoice)) == invoice, name
        assert read_cii(write_cii(invoice)) == invoice, name
