"""Vendors and their sandboxes match excerpts of the vendors' official API descriptions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tools.description_quirks import QUIRKS
from tools.descriptions import check, compare, files_of

if TYPE_CHECKING:
    from collections.abc import Iterator

EXCERPTS: Final = Path(__file__).parent / "descriptions"
VENDORS: Final = sorted(folder.name for folder in EXCERPTS.iterdir() if folder.is_dir())
TENANT: Final = "00000000-0000-4000-8000-00000000d1c7"
UNDESCRIBED: Final = {
    "amazon_sp_api": {"POST /auth/o2/token"},
    "dhl_parcel": {"GET /track/shipments"},
    "easypost": {"GET /files/{path*}"},
    "entra": {f"POST /{TENANT}/oauth2/v2.0/token"},
    "firebase": {"POST /token"},
    "gcs": {"DELETE /upload/storage/v1/b/sandbox-bucket/o", "POST /token"},
    "google_calendar": {"POST /token"},
    "google_workspace": {"POST /token"},
    "hmrc": {"POST /oauth/token"},
    "infobip": {"GET /account/1/balance"},
    "microsoft_calendar": {f"POST /{TENANT}/oauth2/v2.0/token"},
    "paypal": {"GET /v1/billing/subscriptions", "POST /v1/oauth2/token"},
    "sendgrid": {"POST /v3/validations/email"},
    "shippo": {"GET /{path*}"},
    "storecove": {
        "GET /api/v2/document_submissions/{guid}/evidence/sending",
        "GET /api/v2/received_documents/{guid}/original",
    },
    "vonage": {"POST /v2/verify", "POST /v2/verify/{id_}"},
    "xero": {"POST /connect/token"},
}
"""Requests of the scenarios that no excerpt of the vendor describes."""
VERSION: Final = r"([0-9a-f]{7}|\d+\.\d+\.\d+) of \d{4}-\d\d(-\d\d)?"
LICENCES: Final = ("MIT", "Apache 2.0", "BSD 3-Clause", "CC BY 4.0", "ISC")
PAGE: Final = Path(__file__).parents[2] / "docs" / "vendor-descriptions.md"


def texts_in(node: Any) -> Iterator[str]:
    """Yield each name and each string in a JSON value."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for name, part in node.items():
            yield name
            yield from texts_in(part)
    elif isinstance(node, list):
        for part in node:
            yield from texts_in(part)


@pytest.mark.untraced
@pytest.mark.parametrize("vendor", VENDORS)
def test_vendor_and_sandbox_match_the_description(vendor: str) -> None:
    """Each request, and each of the sandbox's successes, matches the vendor's description."""
    problems, undescribed = check(EXCERPTS / vendor)

    assert ({}, UNDESCRIBED.get(vendor, set())) == (problems, set(undescribed))


@pytest.mark.parametrize("vendor", VENDORS)
def test_each_quirk_occurs(vendor: str) -> None:
    """Each listed deviation from a vendor's API description still exists."""
    problems, _ = compare(EXCERPTS / vendor)

    assert set() == QUIRKS.get(vendor, frozenset()) - {problem for _, problem in problems}


@pytest.mark.parametrize("vendor", VENDORS)
def test_excerpts_have_no_sentences(vendor: str) -> None:
    """Excerpts contain no sentences: no text in them has over two spaces, except the licence."""
    for file in files_of(EXCERPTS / vendor):
        excerpt = json.loads(file.read_text("utf-8"))
        del excerpt["license"]

        assert [] == [text for text in texts_in(excerpt) if text.count(" ") > 2]


def test_sources_are_stated() -> None:
    """The page of sources names each description's repository, version and licence."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.read_text("utf-8").splitlines()
        if re.match(r"\| \[[a-z_0-9]+\]\(\S+\) \| \w+(-\w+)*/", line)
    ]

    vendors = sorted([*VENDORS, *(file.stem for file in EXCERPTS.glob("*.graphql"))])

    assert [f"[{vendor}](vendors/{vendor}.md)" for vendor in vendors] == [row[0] for row in rows]
    assert all(licence.startswith(LICENCES) for *_, licence in rows)
    assert all(re.fullmatch(VERSION, row[2]) for row in rows)


def test_every_vendor_has_a_source_or_a_reason() -> None:
    """The page of sources lists each documented vendor once, with a source or a reason why not."""
    pages = sorted(file.stem for file in (PAGE.parent / "vendors").glob("*.md"))

    assert pages == sorted(re.findall(r"(?m)^\| \[([a-z_0-9]+)\]", PAGE.read_text("utf-8")))
