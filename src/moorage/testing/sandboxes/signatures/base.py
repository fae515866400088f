"""The base of sandboxes for signature vendors, with envelopes and signers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.values.json_text import is_object
from moorage.errors import InvalidData
from moorage.testing.sandboxes.base import Sandbox, state_field

if TYPE_CHECKING:
    from moorage.testing.sandboxes.base import Notice

PDF: Final = b"%PDF-1.7\nSign here: /sn1/\n%%EOF\n"
"""A document of one page with the anchor /sn1/."""
TEMPLATE: Final = "11111111-2222-4333-8444-555555555555"
"""The id of a template that each sandbox has, with the role `Client`."""
ROLE: Final = "Client"
"""The role of the template."""
RETURN_URL: Final = "https://erp.example/signed"


@attrs.define(kw_only=True)
class StoredSigner:
    """A signer of an envelope in a sandbox.

    Attributes:
        email: email address.
        name: name.
        place: place in the order of signing.
        embedded: True if the person gets no email.
        phone: number that gets a code.
        id: id of the person, or of the signature.
        viewed_at: time of the last look at the documents.
        signed_at: time of the signature.
        declined: reason for declining.
    """

    email: str
    name: str
    place: int = 1
    embedded: bool = False
    phone: str | None = None
    id: str = ""
    viewed_at: datetime | None = None
    signed_at: datetime | None = None
    declined: str | None = None


@attrs.define(kw_only=True)
class StoredEnvelope:
    """An envelope in a sandbox.

    Attributes:
        id: id of the envelope.
        persons: the envelope's signers.
        mark: the text by which the envelope is looked up.
        created_at: time of its creation.
        void_reason: reason for voiding, "" if no reason was given; None while the envelope is not
            void.
        is_expired: True after the envelope's last day.
        is_draft: True if the envelope was not sent yet.
        fields: the fields of the request that created it.
    """

    id: str
    persons: list[StoredSigner]
    mark: str | None = None
    created_at: datetime = attrs.field(factory=lambda: datetime.now(UTC).replace(microsecond=0))
    void_reason: str | None = None
    is_expired: bool = False
    is_draft: bool = False
    fields: dict[str, Any] = attrs.field(factory=dict, repr=False)

    @property
    def is_complete(self) -> bool:
        """True if everybody has signed."""
        return all(person.signed_at is not None for person in self.persons)

    @property
    def is_declined(self) -> bool:
        """True if a signer has declined."""
        return any(person.declined is not None for person in self.persons)

    @property
    def is_open(self) -> bool:
        """True while a signer can still sign."""
        is_over = self.is_complete or self.is_declined or self.is_expired or self.is_draft
        return not is_over and self.void_reason is None

    def in_turn(self) -> list[StoredSigner]:
        """Return the persons who can sign now."""
        waiting_signers = [person for person in self.persons if person.signed_at is None]
        first_place = min((person.place for person in waiting_signers), default=0)
        return [person for person in waiting_signers if person.place == first_place]


class SignaturesSandbox(Sandbox, ABC):
    """A local sandbox that imitates a vendor of electronic signatures.

    Attributes:
        envelopes: the envelopes that were sent, by id.
        emails: the addresses that got an email with a link, in order.
        is_search_late: True while a new envelope cannot be found by its mark.
    """

    envelopes: dict[str, StoredEnvelope] = state_field(dict)
    emails: list[str] = state_field(list)
    is_search_late: bool = state_field(bool)

    def view(self, id_: str, email: str) -> None:
        """Open the documents as a signer whose turn it is."""
        self._signer(id_, email).viewed_at = datetime.now(UTC).replace(microsecond=0)

    def sign(self, id_: str, email: str) -> None:
        """Sign as a signer; the next signers then get their emails."""
        envelope, person = self.envelopes[id_], self._signer(id_, email)
        self.view(id_, email)
        person.signed_at = person.viewed_at
        if not [item for item in envelope.in_turn() if item.place == person.place]:
            self.write_to_next(envelope)

    def decline(self, id_: str, email: str, reason: str) -> None:
        """Decline to sign as a signer."""
        self._signer(id_, email).declined = reason

    def _signer(self, id_: str, email: str) -> StoredSigner:
        """Return a signer who can see, sign or decline the documents now."""
        envelope, person = self.envelopes[id_], self.person(id_, email)
        if not envelope.is_open or person not in envelope.in_turn():
            raise InvalidData(
                "This person cannot sign now.",
                field="email",
                remedy="Name a signer whose turn it is, of an envelope that is under way.",
            )
        return person

    def expire(self, id_: str) -> None:
        """Expire the time for signing an envelope."""
        if not self.envelopes[id_].is_open:
            raise InvalidData(
                "This envelope cannot expire.",
                field="id_",
                remedy="Name an envelope that is under way.",
            )
        self.envelopes[id_].is_expired = True

    def person(self, id_: str, email: str) -> StoredSigner:
        """Return a signer of an envelope.

        Raises:
            InvalidData: the envelope has no signer with this address.
        """
        persons = [item for item in self.envelopes[id_].persons if item.email == email]
        if not persons:
            raise InvalidData(
                f"The envelope {id_} has no signer with this email address.",
                field="email",
                remedy="Pass the address that the Signer had when the envelope was sent.",
            )
        return persons[0]

    def write_to_next(self, envelope: StoredEnvelope) -> None:
        """Send emails to the signers whose turn it is."""
        self.emails += [person.email for person in envelope.in_turn() if not person.embedded]

    def matching_envelopes(self, mark: str) -> list[StoredEnvelope]:
        """Return the envelopes with a search mark; none as long as `is_search_late` is True."""
        if self.is_search_late:
            return []
        return [envelope for envelope in self.envelopes.values() if envelope.mark == mark]

    @abstractmethod
    def report(self, id_: str, event: str, *, url: str, email: str | None = None) -> Notice:
        """Send a webhook about an envelope.

        Args:
            id_: id of the envelope.
            event: the vendor's own word for the event.
            url: address of the application.
            email: address of the signer whom it is about.
        """


def as_dict(value: Any) -> dict[str, Any]:
    """Return a JSON object; an empty dictionary for any other value."""
    return value if is_object(value) else {}


__all__ = [
    "PDF",
    "RETURN_URL",
    "ROLE",
    "TEMPLATE",
    "SignaturesSandbox",
    "StoredEnvelope",
    "StoredSigner",
    "as_dict",
]
