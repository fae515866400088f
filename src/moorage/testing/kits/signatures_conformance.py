"""Checks for every vendor of electronic signatures.

The most important ones are about repeats and completion: no envelope is sent twice, and none
counts as completed before everybody signed.

Each check takes a function that makes a new `SignaturesSubject`: the vendor, its sandbox, and what
the kit cannot know. `CHECKS` go through `Hub`, and `ASYNC_CHECKS` through `AsyncHub`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.contracts.ref import Ref
from moorage.contracts.signatures import (
    Envelope,
    EnvelopeStatus,
    SignatureReceipt,
    SignaturesCapability,
    SignerStatus,
)
from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    IdempotencyConflict,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
    WebhookRejected,
)
from moorage.testing.kits._contract_harness import (
    require_refusal,
    require_unsupported,
    through_async_hub,
    through_hub,
    uncertain_answers,
    with_an_address,
    with_body,
)
from moorage.testing.kits._signatures_harness import (
    ACCOUNT,
    ADA,
    GRACE,
    REASON,
    SUBJECT,
    Harness,
    SignaturesSubject,
    calls_by_capability,
    request,
    signer,
)
from moorage.testing.kits.checks import OTHER_SECRET, require
from moorage.testing.sandboxes.base import AlteredAnswer, Lost

if TYPE_CHECKING:
    from moorage.contracts.signatures import SignatureEvent, SignedFile, SigningLink

__all__ = ["ASYNC_CHECKS", "CHECKS", "AsyncCheck", "Check", "Factory", "SignaturesSubject"]

_URL: Final = "https://erp.example/hooks/signatures"
_JSON: Final = {"Content-Type": "application/json"}
_OUTAGE: Final = Response(503, body=b"<html></html>")
_MALFORMED: Final = (b"", b"[]", b"null", b"{}", b"<html></html>")
_STARTED: Final = {EnvelopeStatus.CREATED, EnvelopeStatus.SENT}
_GONE_STATUSES: Final = {404, 410}
_VOID: Final = {EnvelopeStatus.VOIDED, EnvelopeStatus.VOIDING}

Factory: TypeAlias = Callable[[], SignaturesSubject]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[Factory], Coroutine[Any, Any, None]]
Open: TypeAlias = Callable[[], Harness]


async def _send_request(harness: Harness, *signers: Any, **options: Any) -> Ref:
    receipt: SignatureReceipt = await harness("send", request(*signers), **options)
    return receipt.ref


async def an_envelope_is_sent(make: Open) -> None:
    """An envelope is sent once to its signer, and is not completed by being sent."""
    async with make() as harness:
        receipt: SignatureReceipt = await harness("send", request())
        require(harness.count() == 1, "One envelope was not sent once.")
        require(
            harness.signing_sandbox.emails == [ADA],
            f"The emails went to {harness.signing_sandbox.emails}.",
        )
        require(receipt.status in _STARTED, f"A new envelope is {receipt.status}.")
        require(receipt.raw, "The result lacks the vendor's response.")
        require(receipt.ref.vendor == harness.subject.vendor.name, "The receipt names no vendor.")
        require(receipt.ref.account == ACCOUNT, "The receipt names no account.")
        require(
            receipt.ref.id in harness.signing_sandbox.envelopes,
            "The reference is of another envelope.",
        )
        require(Ref.parse(str(receipt.ref)) == receipt.ref, "A reference changes as text.")
        require(receipt.at is None or receipt.at.tzinfo, "The time has no zone.")


async def a_key_sends_once(make: Open) -> None:
    """An envelope is sent once per idempotency key; a repeat returns the same receipt."""
    async with make() as harness:
        receipts = [await harness("send", request(), idempotency_key="k-1") for _ in range(3)]
        require(harness.count() == 1, "One idempotency key sent its envelope more than once.")
        require(receipts[0] == receipts[1] == receipts[2], "A repeat has another receipt.")
        await harness("send", request(), idempotency_key="k-2")
        require(harness.count() == 2, "A second idempotency key sent no second invoice.")
        other_envelope = harness("send", request(signer(GRACE)), idempotency_key="k-1")
        await harness.refused(IdempotencyConflict, other_envelope, "A key for another envelope")


async def a_failed_request_is_not_repeated(make: Open) -> None:
    """No vendor module repeats a failed request itself."""
    async with make() as harness:
        for answer in (_OUTAGE, harness.subject.refusals[0][0]):
            harness.fail(answer)
            request_count = len(harness.sandbox.requests)
            await harness.refused(ConnectorError, harness("send", request()), "A failed request")
            sent_count = len(harness.sandbox.requests) - request_count
            is_once = sent_count == 1 + harness.subject.preparations
            require(is_once, "A vendor repeated a failed request by itself.")


async def a_lost_answer_is_looked_up(make: Open) -> None:
    """After a lost response the envelope is looked up by its key, and not sent again."""
    async with make() as harness:
        harness.fail(Lost())
        receipts = [await harness("send", request(), idempotency_key="k-1") for _ in range(2)]
        require(harness.count() == 1, "An envelope that was sent was sent again.")
        require(harness.signing_sandbox.emails == [ADA], "A signer got two emails.")
        for receipt in receipts:
            require(
                receipt.ref.id in harness.signing_sandbox.envelopes, "Another envelope was found."
            )
            require(receipt.status in _STARTED, f"A found envelope is {receipt.status}.")
        other_ref = await _send_request(harness, idempotency_key="k-2")
        require(
            other_ref != receipts[0].ref,
            "A second idempotency key returned the envelope of the first.",
        )


async def a_late_search_is_no_proof(make: Open) -> None:
    """If the vendor's search does not find an envelope yet, it is unknown and not sent again."""
    async with make() as harness:
        harness.signing_sandbox.is_search_late = True
        harness.fail(Lost())
        for _ in range(2):
            sending = harness("send", request(), idempotency_key="k-1")
            await harness.refused(OutcomeUnknown, sending, "A lost answer")
        require(harness.count() == 1, "An envelope that may have been sent was sent again.")
        harness.signing_sandbox.is_search_late = False
        ref = await _send_request(harness, idempotency_key="k-1")
        require(ref.id in harness.signing_sandbox.envelopes, "The envelope was not found later.")
        require(harness.count() == 1, "An envelope that may have been sent was sent again.")


async def an_uncertain_failure_is_unknown(make: Open) -> None:
    """An envelope that may have been sent has an unknown outcome, and is not sent again."""
    async with make() as harness:
        for outage in uncertain_answers(harness.subject.refusals[0][0]):
            status = outage.status
            harness.fail(outage)
            await harness.refused(VendorFailed, harness("send", request()), f"HTTP {status}")
            harness.fail(outage)
            for _ in range(2):
                sending = harness("send", request(), idempotency_key=f"k-{status}")
                await harness.refused(OutcomeUnknown, sending, f"HTTP {status} under a key")
        require(harness.count() == 0, "An envelope that may have been sent was sent again.")
        harness.fail(Lost(), _OUTAGE)
        sending = harness("send", request(), idempotency_key="k-2")
        await harness.refused(OutcomeUnknown, sending, "A lost answer with a failed look-up")


async def an_unreadable_success_is_no_success(make: Open) -> None:
    """An unreadable response is not reported as a success, and nothing is sent twice."""
    async with make() as harness:
        for number, body in enumerate(_MALFORMED):
            harness.fail(Response(200, _JSON, body))
            error = await harness.refused(VendorFailed, harness("send", request()), f"{body!r}")
            require(not error.retryable, "An envelope that may have been sent is retryable.")
            harness.fail(AlteredAnswer(partial(with_body, body)))
            await _send_request(harness, idempotency_key=f"k-{number}")
            require(harness.count() == number + 1, f"{body!r} was sent twice.")


async def signatures_are_followed(make: Open) -> None:
    """Each signer has a state, in signing order; only the last signature completes the envelope."""
    async with make() as harness:
        ref = await _send_request(harness, signer(order=1), signer(GRACE, order=2))
        expected = [SignerStatus.SENT, SignerStatus.WAITING]
        envelope = await _require_signers(harness, ref, expected)
        require(envelope.status is EnvelopeStatus.SENT, f"The envelope is {envelope.status}.")
        require(
            harness.signing_sandbox.emails == [ADA], "The second signer got an email too early."
        )
        harness.signing_sandbox.view(ref.id, ADA)
        envelope = await _require_signers(harness, ref, [SignerStatus.VIEWED, SignerStatus.WAITING])
        require(
            envelope.status is not EnvelopeStatus.COMPLETED,
            "An envelope that was only viewed is completed.",
        )
        harness.signing_sandbox.sign(ref.id, ADA)
        envelope = await _require_signers(harness, ref, [SignerStatus.SIGNED, SignerStatus.SENT])
        require(envelope.status is EnvelopeStatus.SENT, f"The envelope is {envelope.status}.")
        require(
            envelope.completed_at is None,
            "An envelope is reported as completed with one of two signatures.",
        )
        require(envelope.signers[0].signed_at is not None, "The time of a signature is lost.")
        harness.signing_sandbox.sign(ref.id, GRACE)
        envelope = await _require_signers(harness, ref, [SignerStatus.SIGNED, SignerStatus.SIGNED])
        require(
            envelope.status is EnvelopeStatus.COMPLETED,
            f"After all signatures, the envelope is {envelope.status}.",
        )
        require(envelope.completed_at is not None, "The time of the end is lost.")


async def _require_signers(harness: Harness, ref: Ref, expected: list[SignerStatus]) -> Envelope:
    envelope: Envelope = await harness("get", str(ref))
    require(envelope.ref == ref, "The state is of another envelope.")
    require(envelope.raw, "The result lacks the vendor's response.")
    emails = [state.email for state in envelope.signers]
    require(emails == [ADA, GRACE], f"The signers are {len(emails)} others.")
    statuses = [state.status for state in envelope.signers]
    require(statuses == expected, f"The signers are {statuses}, not {expected}.")
    return envelope


async def a_refused_signature_has_its_reason(make: Open) -> None:
    """If a signer declines, the envelope is reported as declined, with the reason."""
    async with make() as harness:
        ref = await _send_request(harness)
        harness.signing_sandbox.decline(ref.id, ADA, REASON)
        envelope: Envelope = await harness("get", ref)
        require(envelope.status is EnvelopeStatus.DECLINED, f"The envelope is {envelope.status}.")
        require(envelope.reason == REASON, "The reason for declining is lost.")
        state = envelope.signers[0]
        require(state.status is SignerStatus.DECLINED, f"The signer is {state.status}.")
        require(REASON not in repr(envelope), "A reason is shown.")


async def an_unknown_word_is_unknown(make: Open) -> None:
    """An undocumented state is reported as unknown, never as success."""
    async with make() as harness:
        ref = await _send_request(harness)
        harness.fail_with_unknown_word(ref.id)
        envelope: Envelope = await harness("get", ref)
        require(envelope.status is EnvelopeStatus.UNKNOWN, f"The envelope is {envelope.status}.")
        statuses = {state.status for state in envelope.signers}
        require(statuses == {SignerStatus.UNKNOWN}, f"The signers are {statuses}.")


async def an_answer_is_about_its_envelope(make: Open) -> None:
    """A response about another envelope is an error."""
    async with make() as harness:
        ref = await _send_request(harness)
        harness.fail_with_unknown_word("another-envelope")
        await harness.refused(VendorFailed, harness("get", ref), "An answer about another envelope")


async def an_envelope_is_voided(make: Open) -> None:
    """A voided envelope cannot be signed, and voiding it again is not an error."""
    async with make() as harness:
        ref, other_ref = await _send_request(harness), await _send_request(harness)
        arguments = [REASON] if SignaturesCapability.VOID_REASON in harness.capabilities else []
        for _ in range(2):
            receipt: SignatureReceipt = await harness("void", str(ref), *arguments)
            require(receipt.ref == ref, "Another envelope was voided.")
            require(receipt.status in _VOID, f"A void envelope is {receipt.status}.")
            is_void = harness.signing_sandbox.envelopes[ref.id].void_reason is not None
            is_told = receipt.status is EnvelopeStatus.VOIDED
            require(is_void or not is_told, "An envelope is reported as void before it is void.")
            harness.subject.settle()
        require(
            not harness.signing_sandbox.envelopes[ref.id].is_open, "A void envelope can be signed."
        )
        require(
            harness.signing_sandbox.envelopes[other_ref.id].is_open, "Another envelope is void."
        )
        if arguments:
            reason = harness.signing_sandbox.envelopes[ref.id].void_reason
            require(reason == REASON, "The reason for voiding is lost.")
        try:
            envelope: Envelope = await harness("get", ref)
        except VendorRejected as refusal:
            require(
                refusal.status in _GONE_STATUSES,
                f"A voided envelope leads to HTTP {refusal.status}.",
            )
        else:
            status = envelope.status
            require(status is EnvelopeStatus.VOIDED, f"A void envelope is {status}.")
            require(envelope.reason in (None, REASON), "A different reason is read.")


async def a_completed_envelope_stays(make: Open) -> None:
    """Voiding a completed envelope is an error."""
    async with make() as harness:
        ref = await _send_request(harness)
        harness.signing_sandbox.sign(ref.id, ADA)
        await harness.refused(
            VendorRejected | InvalidRequest, harness("void", ref), "Voiding a completed envelope"
        )
        harness.subject.settle()
        require(
            harness.signing_sandbox.envelopes[ref.id].is_complete, "A completed envelope is void."
        )


async def a_reminder_is_sent_once(make: Open) -> None:
    """A reminder goes to the signers who can sign now, once per idempotency key."""
    async with make() as harness:
        if SignaturesCapability.REMIND not in harness.capabilities:
            return
        ref = await _send_request(harness, signer(order=1), signer(GRACE, order=2))
        for _ in range(2):
            receipt: SignatureReceipt = await harness("remind", ref, idempotency_key="k-1")
            require(receipt.ref == ref, "The receipt is about another envelope.")
        require(
            harness.signing_sandbox.emails == [ADA, ADA],
            f"The emails went to {harness.signing_sandbox.emails}.",
        )
        await harness("remind", ref, idempotency_key="k-2")
        require(
            harness.signing_sandbox.emails == [ADA] * 3,
            "A second idempotency key sent no second reminder.",
        )


async def a_link_belongs_to_its_signer(make: Open) -> None:
    """An embedded signer gets a link and no email; other signers get no link."""
    async with make() as harness:
        if SignaturesCapability.EMBEDDED not in harness.capabilities:
            return
        ref = await _send_request(harness, signer(embedded=True))
        require(harness.signing_sandbox.emails == [], "An embedded signer got an email.")
        link: SigningLink = await harness.link(ref, ADA.upper())
        require(link.url.startswith("https://"), "The link is not a URL.")
        require(link.url not in repr(link), "A link is shown.")
        await harness.refused(InvalidData, harness.link(ref, GRACE), "A link for a stranger")
        plain_ref = await _send_request(harness)
        await harness.refused(
            (InvalidData | VendorRejected), harness.link(plain_ref, ADA), "A link without embedding"
        )


async def files_are_downloaded(make: Open) -> None:
    """Documents and certificate are downloaded as PDF; other content is an error."""
    async with make() as harness:
        ref = await _send_request(harness)
        operations = ["download"]
        if SignaturesCapability.CERTIFICATE in harness.capabilities:
            operations.append("certificate")
        for operation in operations:
            file: SignedFile = await harness(operation, str(ref))
            require(file.content.startswith(b"%PDF-"), "The file is not a PDF.")
            require("PDF-" not in repr(file), "The content of a file is shown.")
            harness.sandbox.fail(Response(200, {"Content-Type": "text/html"}, b"<html></html>"))
            await harness.refused(
                VendorFailed, harness(operation, ref), "A page in place of a file"
            )


async def unsupported_features_are_refused(make: Open) -> None:
    """An unsupported feature is refused before sending; the error names vendors that have it."""
    async with make() as harness:
        await require_unsupported(harness, calls_by_capability(harness).items())


async def a_refusal_has_its_type(make: Open) -> None:
    """Each error response raises the right error with the vendor's response, and sends nothing."""
    async with make() as harness:
        for number, (refusal, kind, code) in enumerate(harness.subject.refusals):
            answer = with_an_address(refusal)
            for key in (None, f"k-{number}"):
                harness.fail(answer)
                sending = harness("send", request(), idempotency_key=key)
                error = await harness.refused(kind, sending, f"Refusal {number}")
                require(error.service == ACCOUNT, "A refusal names no account.")
                require_refusal(error, refusal, f"Refusal {number}", code)
        require(harness.count() == 0, "A refused envelope was sent.")
        missing_ref = Ref(harness.subject.vendor.name, ACCOUNT, "404404")
        for operation in ("get", "void", "download"):
            unknown_call = harness(operation, missing_ref)
            await harness.refused(
                VendorRejected, unknown_call, f"{operation} of an unknown envelope"
            )


async def a_pause_is_obeyed(make: Open) -> None:
    """If a vendor requests a pause, the error for its response states that pause."""
    async with make() as harness:
        answer, seconds = harness.subject.pause
        harness.fail(answer)
        error = await harness.refused(RateLimitExceeded, harness("send", request()), "A rate limit")
        pause = error.vendor_retry_after
        require(pause == seconds, f"The vendor asks for a pause of {seconds} s, not of {pause}.")


async def options_arrive(make: Open) -> None:
    """The caller's extra options for this vendor are sent.

    Options for other vendors are ignored.
    """
    async with make() as harness:
        name, option = harness.subject.option
        extra = {harness.subject.vendor.name: {name: option}, "another": {"other_option": "1"}}
        ref: Ref = (await harness("send", request(extra=extra))).ref
        require(
            harness.signing_sandbox.envelopes[ref.id].fields.get(name) == option,
            "An option is lost.",
        )
        body = harness.sandbox.requests[-1].body
        require(b"other_option" not in body, "An extra option of another vendor was sent.")


async def secrets_are_shown_nowhere(make: Open) -> None:
    """No error, receipt, event or log entry shows a secret, even if the vendor repeats it."""
    async with make() as harness:
        all_secrets = " and ".join(harness.subject.secrets)
        echo = {"message": all_secrets, "error": {"error_msg": all_secrets}}
        shown_texts: list[str] = [f"{harness.hub.account(ACCOUNT)!r}"]
        for answer in (None, Response(400, _JSON, encode_json(echo)), Lost()):
            harness.fail(answer)
            try:
                receipt = await harness("send", request())
                shown_texts.append(f"{receipt!r}{receipt.ref}")
            except ConnectorError as error:
                trace = "".join(traceback.format_exception(error))
                shown_texts.append(f"{error}{error!r}{trace}")
        await harness.require_hidden(shown_texts, harness.subject.secrets)


async def nothing_shows_the_signers(make: Open) -> None:
    """No repr of a request or result shows persons or the subject."""
    async with make() as harness:
        receipt: SignatureReceipt = await harness("send", request())
        shown_text = f"{request()!r}{receipt!r}{await harness('get', receipt.ref)!r}"
        for text in (ADA, "Ada", SUBJECT):
            require(text not in shown_text, "Personal data is shown.")


async def events_are_accepted_if_signed(make: Open) -> None:
    """Each signed webhook is accepted, and gets the event type that its vendor state stands for."""
    async with make() as harness:
        ref = await _send_request(harness, signer(embedded=False))
        harness.signing_sandbox.sign(ref.id, ADA)
        secret = harness.subject.webhook_secret
        verifier = harness.hub.webhooks(ACCOUNT, secrets=secret)
        for word, is_personal, expected in (
            *harness.subject.events,
            ("a-new-word", False, "unknown"),
        ):
            email = ADA if is_personal else None
            notice = harness.signing_sandbox.report(ref.id, word, url=_URL, email=email)
            webhook = verifier.verify(**notice.arguments())[0]
            events: tuple[SignatureEvent, ...] = harness.hub.events(ACCOUNT, webhook)
            require(len(events) == 1, f"{word} became {len(events)} events.")
            event = events[0]
            require(event.ref == ref, "An event is about another envelope.")
            require(event.type == expected, f"{word} became {event.type}.")
            require(event.vendor_type == word, "The result lacks the vendor's own status.")
            require(event.signer == email, "The signer of an event is lost.")
            require(event.at is not None and event.at.tzinfo, "An event has no time.")
            require(event.raw and ADA not in repr(event), "An event shows a signer.")
        strange_verifier = harness.hub.webhooks(ACCOUNT, secrets=OTHER_SECRET, replay_guard=False)
        forged_event = harness.signing_sandbox.report(
            ref.id, harness.subject.events[0][0], url=_URL
        )
        try:
            strange_verifier.verify(**forged_event.arguments())
        except (WebhookRejected, AuthenticationFailed):
            return
        raise AssertionError("A webhook with a forged signature is accepted.")


_ALL_CHECKS: Final = (
    an_envelope_is_sent,
    a_key_sends_once,
    a_failed_request_is_not_repeated,
    a_lost_answer_is_looked_up,
    a_late_search_is_no_proof,
    an_uncertain_failure_is_unknown,
    an_unreadable_success_is_no_success,
    signatures_are_followed,
    a_refused_signature_has_its_reason,
    an_unknown_word_is_unknown,
    an_answer_is_about_its_envelope,
    an_envelope_is_voided,
    a_completed_envelope_stays,
    a_reminder_is_sent_once,
    a_link_belongs_to_its_signer,
    files_are_downloaded,
    unsupported_features_are_refused,
    a_refusal_has_its_type,
    a_pause_is_obeyed,
    options_arrive,
    secrets_are_shown_nowhere,
    nothing_shows_the_signers,
    events_are_accepted_if_signed,
)


CHECKS: Final[tuple[Check, ...]] = through_hub(_ALL_CHECKS, Harness.with_sync_hub)
ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = through_async_hub(_ALL_CHECKS, Harness.with_async_hub)
