"""A signature vendor under test, and a hub with an account there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.ref import Ref
from moorage.contracts.signatures import (
    SignatureDocument,
    SignaturePlace,
    SignatureRequest,
    SignaturesCapability,
    Signer,
)
from moorage.testing.kits._recorded_harness import RecordedHarness
from moorage.testing.sandboxes.signatures.base import PDF, RETURN_URL, ROLE, TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from moorage.contracts.vendor import Vendor
    from moorage.domain.http.requests import Response
    from moorage.errors import ConnectorError
    from moorage.testing.sandboxes.signatures.base import SignaturesSandbox

ACCOUNT: Final = "contracts"
ADA: Final = "ada@example.com"
GRACE: Final = "grace@example.com"
SUBJECT: Final = "Lease of the north pier"
REASON: Final = "The price is wrong."


def _do_nothing() -> None:
    pass


@attrs.frozen(kw_only=True)
class SignaturesSubject:
    """A signature vendor to be checked, with its sandbox.

    Attributes:
        vendor: an account at the sandbox.
        sandbox: the sandbox.
        refusals: error responses of the vendor, each with the error that it must raise, and
            the vendor's code that the error must keep.
        pause: a response by which the vendor asks for a pause, and the seconds of the pause.
        unknown_word: takes the id of an envelope, and makes responses to `get` with unknown states:
            one response, or one for each request.
        option: an option in the vendor's own words, and its value.
        events: for each event, the vendor's word, True if it is about one signer, and the type
            that it must become.
        webhook_secret: secret of the vendor's webhooks.
        secrets: texts that no repr, error, event or log entry may contain, such as a token.
        return_url: address for links of embedded signers; None if the vendor takes none.
        settle: carries out what the vendor only accepted, such as a cancellation.
        preparations: number of requests, such as uploads, before the one that sends an envelope.
    """

    vendor: Vendor
    sandbox: SignaturesSandbox
    refusals: tuple[tuple[Response, type[ConnectorError], str | None], ...]
    pause: tuple[Response, float]
    unknown_word: Callable[[str], Response | tuple[Response, ...]]
    option: tuple[str, Any]
    events: tuple[tuple[str, bool, str], ...]
    webhook_secret: str = attrs.field(repr=False)
    secrets: tuple[str, ...] = attrs.field(repr=False)
    return_url: str | None = None
    settle: Callable[[], None] = _do_nothing
    preparations: int = 0


class Harness(RecordedHarness[SignaturesSubject]):
    """A signature vendor under test, with its hub, integration log and observer."""

    contract = "signatures"
    account_name = ACCOUNT
    logs_content = True

    @property
    def signing_sandbox(self) -> SignaturesSandbox:
        """The sandbox, which shows the envelopes as signers see them."""
        return self.subject.sandbox

    def count(self) -> int:
        """Return the number of envelopes that were sent."""
        return len(self.signing_sandbox.envelopes)

    def fail(self, *answers: Any) -> None:
        """Answer the next requests that send an envelope with these responses."""
        self.sandbox.fail(*[None] * self.subject.preparations, *answers)

    def fail_with_unknown_word(self, id_: str) -> None:
        """Answer the requests of the next `get` with unknown envelope states."""
        answers = self.subject.unknown_word(id_)
        self.sandbox.fail(*(answers if isinstance(answers, tuple) else (answers,)))

    def hidden(self) -> tuple[str, ...]:
        """Return texts that must stay hidden: secrets, addresses and subjects."""
        return (*self.subject.secrets, ADA, GRACE, SUBJECT)

    async def link(self, ref: Ref, email: str) -> Any:
        """Make the link of an embedded signer."""
        address = self.subject.return_url
        return await self("signing_link", ref, email, *([] if address is None else [address]))


def signer(email: str = ADA, **fields: Any) -> Signer:
    """Return a signer with these fields."""
    return Signer(name=email.partition("@")[0].title(), email=email, **fields)


def request(*signers: Signer, **fields: Any) -> SignatureRequest:
    """Return a request about a document, to these signers or a single default one."""
    document = SignatureDocument(name="lease.pdf", content=PDF)
    usual_fields: dict[str, Any] = {
        "subject": SUBJECT,
        "signers": signers or [signer()],
        "documents": [document],
    }
    return SignatureRequest(**{**usual_fields, **fields})


def calls_by_capability(
    harness: Harness,
) -> Mapping[SignaturesCapability, Callable[[], Awaitable[Any]]]:
    """Return, for each capability, a call that requires it."""
    ref = Ref(harness.subject.vendor.name, ACCOUNT, "1")
    day = datetime.now(UTC).date() + timedelta(days=30)

    def send(*signers: Signer, **fields: Any) -> Callable[[], Awaitable[Any]]:
        return partial(harness, "send", request(*signers, **fields))

    templated = send(signer(role=ROLE), template=TEMPLATE, documents=())
    return {
        SignaturesCapability.TEMPLATES: templated,
        SignaturesCapability.ANCHORS: send(
            signer(signature_places=[SignaturePlace(anchor="/sn1/")])
        ),
        SignaturesCapability.POSITIONS: send(signer(signature_places=[SignaturePlace(page=1)])),
        SignaturesCapability.PHONE_CHECK: send(signer(phone="+4915112345678")),
        SignaturesCapability.EMBEDDED: partial(harness, "signing_link", ref, ADA, RETURN_URL),
        SignaturesCapability.LANGUAGE: send(language="de"),
        SignaturesCapability.EXPIRY: send(expires_on=day),
        SignaturesCapability.REMINDERS: send(remind_every=3),
        SignaturesCapability.REMIND: partial(harness, "remind", ref),
        SignaturesCapability.VOID_REASON: partial(harness, "void", ref, REASON),
        SignaturesCapability.CERTIFICATE: partial(harness, "certificate", ref),
    }
