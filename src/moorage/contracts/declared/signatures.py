"""The contract of electronic signatures."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from moorage.contracts.declaration import Contract, Requirements, Target, changes, reads
from moorage.contracts.signatures import (
    SignatureEvent,
    SignatureRequest,
    SignaturesCapability,
    check_email,
    check_fits,
    envelopes,
    events,
    requests,
)
from moorage.contracts.validators import check_kind, check_maybe
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.contracts.ref import Ref
    from moorage.contracts.signatures import Envelope, SignatureReceipt, SignedFile, SigningLink

_ENVELOPE: Final[Requirements[Envelope]] = Requirements()
_REMIND: Final[Requirements[SignatureReceipt]] = Requirements()
_DOWNLOAD: Final[Requirements[SignedFile]] = Requirements()
_CERTIFICATE: Final[Requirements[SignedFile]] = Requirements()


class SignaturesContract(Contract):
    """Has documents signed electronically by the vendor that the configuration chooses."""

    kind = "signatures"
    capabilities = SignaturesCapability
    event = SignatureEvent
    values = (envelopes, events, requests)

    @changes()
    def send(
        self,
        request: SignatureRequest,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[SignatureReceipt]:
        """Send documents, or the documents of a template, to their signers.

        Args:
            request: documents or template, signers and texts.
            idempotency_key: identifies this envelope: a repeat returns the same receipt, and
                after a lost response the envelope is looked up by it.
            timeout: seconds for the whole operation.
        """
        check_kind(request, SignatureRequest, "request")
        return Requirements(
            needs=request.needs,
            recipients=request.recipients,
            check_limits=partial(check_fits, request),
        )

    @reads(target=Target.REFERENCE)
    def get(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[Envelope]:
        """Get the state of an envelope and of each signer.

        Args:
            ref: reference of the envelope.
            timeout: seconds for the whole operation.
        """
        return _ENVELOPE

    @changes(target=Target.REFERENCE, needs=SignaturesCapability.REMIND)
    def remind(
        self,
        ref: Ref | str,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[SignatureReceipt]:
        """Send a reminder to the signers whose turn it is.

        Args:
            ref: reference of the envelope.
            idempotency_key: identifies this reminder: a repeat sends no second reminder.
            timeout: seconds for the whole operation.
        """
        return _REMIND

    @changes(target=Target.REFERENCE)
    def void(
        self, ref: Ref | str, reason: str | None = None, *, timeout: float | None = None
    ) -> Requirements[SignatureReceipt]:
        """Void an envelope, so that no one can sign it; voiding it again has no further effect.

        Args:
            ref: reference of the envelope.
            reason: reason, which the vendor tells the signers.
            timeout: seconds for the whole operation.
        """
        check_maybe(reason, str, "reason")
        if reason is None:
            return Requirements()
        if not reason.strip():
            raise InvalidData(
                "The reason for voiding is empty.",
                field="reason",
                remedy="Give a reason that the signers can read, or leave the field out.",
            )
        return Requirements(needs={SignaturesCapability.VOID_REASON})

    @changes(target=Target.REFERENCE, deferrable=False, needs=SignaturesCapability.EMBEDDED)
    def signing_link(
        self,
        ref: Ref | str,
        email: str,
        return_url: str | None = None,
        *,
        timeout: float | None = None,
    ) -> Requirements[SigningLink]:
        """Make a link by which an embedded signer signs inside your application.

        Args:
            ref: reference of the envelope.
            email: email address of the signer, who must be an embedded signer.
            return_url: https:// address to which the signer returns.
            timeout: seconds for the whole operation.
        """
        check_email(email, "email")
        check_maybe(return_url, str, "return_url")
        if return_url is not None and not _is_web_address(return_url):
            raise InvalidData(
                "The return_url must be an https:// address.",
                field="return_url",
                remedy="Give an absolute URL, such as https://erp.example/signed.",
            )
        return Requirements()

    @reads(target=Target.REFERENCE)
    def download(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[SignedFile]:
        """Download the documents in their present state, as one PDF.

        They are signed by everybody only if the status of the envelope is `completed`.

        Args:
            ref: reference of the envelope.
            timeout: seconds for the whole operation.
        """
        return _DOWNLOAD

    @reads(target=Target.REFERENCE, needs=SignaturesCapability.CERTIFICATE)
    def certificate(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> Requirements[SignedFile]:
        """Download the vendor's certificate, which records the steps of signing, as a PDF.

        Args:
            ref: reference of the envelope.
            timeout: seconds for the whole operation.
        """
        return _CERTIFICATE


def _is_web_address(value: str) -> bool:
    try:
        url = urlsplit(value)
        return url.scheme == "https" and bool(url.hostname)
    except ValueError:
        return False
