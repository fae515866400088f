"""Documents to sign, their signers, and the request to send them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.signatures.vendor import SignaturesCapability
from moorage.contracts.validators import (
    are_all,
    as_tuple,
    check_text,
    is_a,
    is_count,
    is_filled,
    is_maybe,
    is_maybe_count,
    is_maybe_day,
)
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from datetime import date

    import attrs


_EMAIL: Final = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+")
_PHONE: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_FILE_NAME: Final = re.compile(r"[^/\\\x00-\x1f]*[^/\\\x00-\x1f.]\.[A-Za-z0-9]{1,8}")
_LANGUAGE: Final = re.compile("[a-z]{2}(?:-[A-Z]{2})?")


def check_email(value: object, field: str) -> None:
    """Refuse any value except an email address."""
    check_text(value, field)
    if _EMAIL.fullmatch(str(value)) is None:
        raise InvalidData(
            f"The {field} must be an email address.",
            field=field,
            remedy="Give a single address, such as ada@example.com.",
        )


def _is_email(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    check_email(value, attribute.name)


def _is_phone(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    if value is None:
        return
    check_text(value, attribute.name)
    if _PHONE.fullmatch(str(value)) is None:
        raise InvalidData(
            "The phone number must be in the international format.",
            field=attribute.name,
            remedy="Give '+' and the digits, such as +4915112345678.",
        )


def _is_file_name(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    check_text(value, attribute.name)
    if _FILE_NAME.fullmatch(str(value)) is None:
        raise InvalidData(
            "The name of the document must be a file name with an extension.",
            field=attribute.name,
            remedy="Give a name without folders, such as contract.pdf.",
        )


def _is_content(_: object, attribute: attrs.Attribute[bytes], value: object) -> None:
    if not isinstance(value, bytes) or not value:
        raise InvalidData(
            "The document has no content.",
            field=attribute.name,
            remedy="Give the bytes of the file.",
        )


def _is_language(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    if value is None:
        return
    check_text(value, attribute.name)
    if _LANGUAGE.fullmatch(str(value)) is None:
        raise InvalidData(
            "The language is not a language code.",
            field=attribute.name,
            remedy="Give a code such as de or pt-BR.",
        )


def _is_offset(_: object, attribute: attrs.Attribute[int], value: object) -> None:
    if type(value) is not int:
        raise InvalidData(
            f"The {attribute.name} must be a whole number of points.",
            field=attribute.name,
            remedy="Give a whole number; 72 points are an inch.",
        )


@frozen(kw_only=True)
class SignatureDocument:
    """A document to sign.

    Attributes:
        name: file name with its extension, such as contract.pdf.
        content: bytes of the file.
    """

    name: str = field(validator=_is_file_name)
    content: bytes = field(repr=False, validator=_is_content)


@frozen(kw_only=True)
class SignaturePlace:
    """The position of a signature: at a text in the document, or at a point on a page.

    Exactly one of `anchor` and `page` is given.

    Attributes:
        anchor: text in the documents at which the signature is placed.
        page: number of the page, from one on.
        document: number of the document with that page, from one on.
        x: points to the right of the anchor, or of the left edge of the page; an inch has 72.
        y: points below the anchor, or below the upper edge of the page.
    """

    anchor: str | None = field(default=None, validator=is_maybe(str))
    page: int | None = field(default=None, validator=is_maybe_count)
    document: int = field(default=1, validator=is_count)
    x: int = field(default=0, validator=_is_offset)
    y: int = field(default=0, validator=_is_offset)

    def __attrs_post_init__(self) -> None:
        """Refuse a place with both anchor and page, with neither, or outside the page."""
        if (self.page is None) is not bool(self.anchor):
            raise InvalidData(
                "A signature place must have either an anchor or a page.",
                field="anchor",
                remedy="Give the text of the anchor or the number of the page, and leave the"
                " other out.",
            )
        if self.page is not None and min(self.x, self.y) < 0:
            raise InvalidData(
                "The signature place is outside the page.",
                field="x" if self.x < 0 else "y",
                remedy="Give `x` and `y` in points from the upper left corner, and no negative"
                " number.",
            )

    @property
    def needs(self) -> str:
        """The capability that a vendor needs for this place."""
        return SignaturesCapability.ANCHORS if self.anchor else SignaturesCapability.POSITIONS


@frozen(kw_only=True)
class Signer:
    """A person who is to sign.

    Attributes:
        name: name of the person.
        email: email address, which receives the link for signing.
        order: place in the order of signing, from one on; signers with the same number sign at
            the same time. Without it, everybody signs at the same time.
        role: role in the template; only with a template.
        phone: mobile number that receives a code, which the person must enter before signing.
        embedded: True if the person signs inside your application, by `signing_link`. The vendor
            then sends no email with a link.
        signature_places: places of the signatures; only with documents. Without one, the vendor
            decides.
    """

    name: str = field(repr=False, validator=is_filled)
    email: str = field(repr=False, validator=_is_email)
    order: int | None = field(default=None, validator=is_maybe_count)
    role: str | None = field(default=None, validator=is_maybe(str))
    phone: str | None = field(default=None, repr=False, validator=_is_phone)
    embedded: bool = field(default=False, validator=is_a(bool))
    signature_places: tuple[SignaturePlace, ...] = field(
        default=(), converter=as_tuple, validator=are_all(SignaturePlace)
    )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs for this signer."""
        capabilities = {place.needs for place in self.signature_places}
        if self.phone is not None:
            capabilities.add(SignaturesCapability.PHONE_CHECK)
        if self.embedded:
            capabilities.add(SignaturesCapability.EMBEDDED)
        return frozenset(capabilities)


@frozen(kw_only=True)
class SignatureRequest:
    """A request to people to sign documents, or a template that the vendor stores.

    Attributes:
        subject: subject of the emails to the signers.
        signers: the people who sign.
        documents: documents to sign; none with a template.
        template: the vendor's id of a template; none with documents.
        message: text of the emails to the signers.
        language: language of the emails and of the signing pages, such as de or pt-BR; by default
            the vendor's choice.
        expires_on: first day on which no one can sign any more; by default the vendor's choice.
        remind_every: days after which the vendor reminds those who have not signed, again and
            again; by default the vendor's choice.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    subject: str = field(repr=False, validator=is_filled)
    signers: tuple[Signer, ...] = field(converter=as_tuple, validator=are_all(Signer))
    documents: tuple[SignatureDocument, ...] = field(
        default=(), converter=as_tuple, validator=are_all(SignatureDocument)
    )
    template: str | None = field(default=None, validator=is_maybe(str))
    message: str | None = field(default=None, repr=False, validator=is_maybe(str))
    language: str | None = field(default=None, validator=_is_language)
    expires_on: date | None = field(default=None, validator=is_maybe_day)
    remind_every: int | None = field(default=None, validator=is_maybe_count)
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a request without signers, with a repeated signer, or contradictory fields."""
        if not self.signers:
            raise InvalidData(
                "The signature request must have signers.",
                field="signers",
                remedy="Give at least one Signer.",
            )
        if bool(self.documents) is bool(self.template):
            raise InvalidData(
                "The signature request must have either documents or a template.",
                field="documents",
                remedy="Give documents or the id of a template, and leave the other out.",
            )
        emails = [signer.email.lower() for signer in self.signers]
        for number, signer in enumerate(self.signers):
            self._check_signer(signer, f"signers[{number}]")
            if emails.index(signer.email.lower()) < number:
                raise InvalidData(
                    "Two signers have the same email address.",
                    field=f"signers[{number}].email",
                    remedy="Give each signer a different email address.",
                )

    def _check_signer(self, signer: Signer, field: str) -> None:
        if self.template:
            if not signer.role:
                raise InvalidData(
                    "A signer must have a role in the template.",
                    field=f"{field}.role",
                    remedy="Give the name of the signer's role in the template.",
                )
            if signer.signature_places or signer.order is not None:
                raise InvalidData(
                    "The template sets the places of signatures and the order of signing, so the"
                    " request must not set them.",
                    field=f"{field}.{'signature_places' if signer.signature_places else 'order'}",
                    remedy="Leave this field out, or change the template.",
                )
            return
        if signer.role is not None:
            raise InvalidData(
                "A signer has a role, but the signature request has no template.",
                field=f"{field}.role",
                remedy="Leave the role out, or give a template.",
            )
        for number, place in enumerate(signer.signature_places):
            if place.document > len(self.documents):
                raise InvalidData(
                    f"A signature place names the document {place.document}, which the request"
                    " does not have.",
                    field=f"{field}.signature_places[{number}].document",
                    remedy=f"Give a number from 1 to {len(self.documents)}.",
                )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs to send this request."""
        fields = {
            "template": SignaturesCapability.TEMPLATES,
            "language": SignaturesCapability.LANGUAGE,
            "expires_on": SignaturesCapability.EXPIRY,
            "remind_every": SignaturesCapability.REMINDERS,
        }
        own_needs = frozenset(
            capability for name, capability in fields.items() if getattr(self, name)
        )
        return own_needs.union(*(signer.needs for signer in self.signers))

    @property
    def recipients(self) -> tuple[str, ...]:
        """The addresses that receive messages: emails, and phone numbers that get a code."""
        phones = [signer.phone for signer in self.signers if signer.phone is not None]
        return (*(signer.email for signer in self.signers), *phones)


def check_fits(request: SignatureRequest, limits: Mapping[str, int]) -> None:
    """Refuse a request that exceeds the vendor's limits.

    Args:
        request: request to send.
        limits: limits of the vendor; only "subject", "message" and "document_bytes" are read.
    """
    for name in ("subject", "message"):
        size = len(getattr(request, name) or "")
        if size > limits.get(name, size):
            raise InvalidData(
                f"The {name} has {size} characters, but the vendor accepts at most {limits[name]}.",
                field=name,
                remedy="Shorten it.",
            )
    for number, document in enumerate(request.documents):
        size = len(document.content)
        if size > limits.get("document_bytes", size):
            raise InvalidData(
                f"The document {document.name} has {size} bytes, but the vendor accepts"
                f" at most {limits['document_bytes']}.",
                field=f"documents[{number}].content",
                remedy="Make the document smaller, or split it into several documents.",
            )
