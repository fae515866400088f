"""Signature requests: fields, limits and needed capabilities, and refused arguments."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from moorage import InvalidData
from moorage.contracts.signatures import (
    SignatureDocument,
    SignaturePlace,
    SignatureRequest,
    SignaturesCapability,
    Signer,
    check_fits,
)
from moorage.hub.hub import Hub
from moorage.packing import pack, unpack

ADA: dict[str, Any] = {"name": "Ada", "email": "ada@example.com"}
FILE = SignatureDocument(name="lease.pdf", content=b"%PDF-1.7")
USUAL_FIELDS: dict[str, Any] = {"subject": "Lease", "signers": [Signer(**ADA)], "documents": [FILE]}


def test_request_survives_a_store() -> None:
    """A request with all its fields can be packed and read back."""
    places = [SignaturePlace(anchor="/sn1/", x=-3, y=4), SignaturePlace(page=2, x=10, y=20)]
    signers = [
        Signer(**ADA, order=1, phone="+4915112345678", embedded=True, signature_places=places),
        Signer(name="Grace", email="grace@example.com", order=2),
    ]
    request = SignatureRequest(
        subject="Lease",
        message="Please sign.",
        signers=signers,
        documents=[FILE],
        language="pt-BR",
        expires_on=date(2031, 5, 6),
        remind_every=3,
        extra={"docusign": {"brandId": "1"}},
    )

    assert request == unpack(pack(request))


@pytest.mark.parametrize(
    "kind, fields, field",
    [
        (SignatureDocument, {"name": "lease", "content": b"a"}, "name"),
        (SignatureDocument, {"name": "../lease.pdf", "content": b"a"}, "name"),
        (SignatureDocument, {"name": 1, "content": b"a"}, "name"),
        (SignatureDocument, {"name": "lease.pdf", "content": b""}, "content"),
        (SignatureDocument, {"name": "lease.pdf", "content": "a"}, "content"),
        (SignaturePlace, {}, "anchor"),
        (SignaturePlace, {"anchor": ""}, "anchor"),
        (SignaturePlace, {"anchor": "a", "page": 1}, "anchor"),
        (SignaturePlace, {"page": 0}, "page"),
        (SignaturePlace, {"page": 1, "x": -1}, "x"),
        (SignaturePlace, {"page": 1, "y": -1}, "y"),
        (SignaturePlace, {"page": 1, "y": 1.5}, "y"),
        (SignaturePlace, {"page": 1, "document": 0}, "document"),
        (Signer, {**ADA, "name": " "}, "name"),
        (Signer, {**ADA, "email": "ada"}, "email"),
        (Signer, {**ADA, "email": "a@b.example, c@d.example"}, "email"),
        (Signer, {**ADA, "email": None}, "email"),
        (Signer, {**ADA, "phone": "0151 12345678"}, "phone"),
        (Signer, {**ADA, "phone": 49}, "phone"),
        (Signer, {**ADA, "order": 0}, "order"),
        (Signer, {**ADA, "embedded": 1}, "embedded"),
        (Signer, {**ADA, "signature_places": ["/sn1/"]}, "signature_places[0]"),
        (SignatureRequest, {**USUAL_FIELDS, "subject": ""}, "subject"),
        (SignatureRequest, {**USUAL_FIELDS, "signers": []}, "signers"),
        (SignatureRequest, {**USUAL_FIELDS, "signers": ["ada@example.com"]}, "signers[0]"),
        (SignatureRequest, {**USUAL_FIELDS, "documents": []}, "documents"),
        (SignatureRequest, {**USUAL_FIELDS, "template": "1"}, "documents"),
        (SignatureRequest, {**USUAL_FIELDS, "language": "German"}, "language"),
        (SignatureRequest, {**USUAL_FIELDS, "language": 1}, "language"),
        (SignatureRequest, {**USUAL_FIELDS, "expires_on": "2031-05-06"}, "expires_on"),
        (SignatureRequest, {**USUAL_FIELDS, "remind_every": 0}, "remind_every"),
        (SignatureRequest, {**USUAL_FIELDS, "extra": ()}, "extra"),
    ],
)
def test_a_wrong_field_is_named(kind: type[Any], fields: dict[str, Any], field: str) -> None:
    """A value that no vendor could send is refused; the error contains the field's name."""
    with pytest.raises(InvalidData) as excinfo:
        kind(**fields)

    assert field == excinfo.value.field


@pytest.mark.parametrize(
    "signers, more, field",
    [
        (
            [Signer(**ADA), Signer(**ADA | dict[str, Any](email="ADA@example.com"))],
            {},
            "signers[1].email",
        ),
        ([Signer(**ADA, role="Client")], {}, "signers[0].role"),
        ([Signer(**ADA)], {"template": "1", "documents": ()}, "signers[0].role"),
        (
            [Signer(**ADA, role="Client", order=1)],
            {"template": "1", "documents": ()},
            "signers[0].order",
        ),
        (
            [Signer(**ADA, role="Client", signature_places=[SignaturePlace(page=1)])],
            {"template": "1", "documents": ()},
            "signers[0].signature_places",
        ),
        (
            [
                Signer(
                    **ADA,
                    signature_places=[SignaturePlace(page=1), SignaturePlace(page=1, document=2)],
                )
            ],
            {},
            "signers[0].signature_places[1].document",
        ),
    ],
)
def test_signers_that_contradict_the_request_are_refused(
    signers: list[Signer], more: dict[str, Any], field: str
) -> None:
    """Roles need a template, signature positions need documents, and signers' addresses differ."""
    with pytest.raises(InvalidData) as excinfo:
        SignatureRequest(**USUAL_FIELDS | more | dict[str, Any](signers=signers))

    assert field == excinfo.value.field


def test_request_needs_a_capability_for_each_optional_feature() -> None:
    """A request needs one capability for each optional feature that it uses."""
    places = [SignaturePlace(anchor="/sn1/"), SignaturePlace(page=1)]
    signer = Signer(**ADA, phone="+4915112345678", embedded=True, signature_places=places)
    request = SignatureRequest(
        **USUAL_FIELDS | dict[str, Any](signers=[signer]),
        language="de",
        expires_on=date(2031, 5, 6),
        remind_every=3,
    )
    templated = SignatureRequest(subject="a", signers=[Signer(**ADA, role="A")], template="1")

    assert frozenset() == SignatureRequest(**USUAL_FIELDS).needs
    assert {"templates"} == templated.needs
    assert {
        SignaturesCapability.ANCHORS,
        SignaturesCapability.POSITIONS,
        SignaturesCapability.PHONE_CHECK,
        SignaturesCapability.EMBEDDED,
        SignaturesCapability.LANGUAGE,
        SignaturesCapability.EXPIRY,
        SignaturesCapability.REMINDERS,
    } == request.needs
    assert request.recipients == ("ada@example.com", "+4915112345678")


@pytest.mark.parametrize(
    "limits, field",
    [
        ({"subject": 4}, "subject"),
        ({"message": 3}, "message"),
        ({"document_bytes": 7}, "documents[0].content"),
    ],
)
def test_request_above_a_limit_of_the_vendor_is_refused(limits: dict[str, int], field: str) -> None:
    """A request above a vendor's limit is refused; the error contains the field's name."""
    request = SignatureRequest(**USUAL_FIELDS, message="Sign")
    check_fits(request, {"subject": 5, "message": 4, "document_bytes": 8})

    with pytest.raises(InvalidData) as excinfo:
        check_fits(request, limits)

    assert field == excinfo.value.field


@pytest.mark.parametrize(
    "operation, arguments, field",
    [
        ("send", ("Lease",), "request"),
        ("void", ("docusign:main:1", " "), "reason"),
        ("void", ("docusign:main:1", 1), "reason"),
        ("signing_link", ("docusign:main:1", "ada"), "email"),
        ("signing_link", ("docusign:main:1", ADA["email"], "http://a.example"), "return_url"),
        ("signing_link", ("docusign:main:1", ADA["email"], "https://[a"), "return_url"),
        ("signing_link", ("docusign:main:1", ADA["email"], 1), "return_url"),
    ],
)
def test_operations_refuse_wrong_arguments(
    operation: str, arguments: tuple[Any, ...], field: str
) -> None:
    """An operation refuses a wrong argument before an account is chosen."""
    with Hub([]) as hub, pytest.raises(InvalidData) as excinfo:
        getattr(hub.signatures(), operation)(*arguments)

    assert field == excinfo.value.field


def test_nothing_shows_persons_or_contents() -> None:
    """The repr of a signature request or file shows no persons, texts or contents."""
    request = SignatureRequest(**USUAL_FIELDS, message="Please")
    shown_text = f"{request!r}{FILE!r}"

    assert [] == [text for text in ("Ada", "ada@", "Lease", "Please", "PDF-") if text in shown_text]
