"""The operations on signatures for users, synchronous and asynchronous.

Written by tools/operations.py from the declarations in contracts/declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.declared.signatures import SignaturesContract
from moorage.domain.values.uncopyable import Uncopyable
from moorage.runtime.flows import run_now
from moorage.services.contracts.flows import Flows
from moorage.services.contracts.live_configuration import CurrentOperations

if TYPE_CHECKING:
    from moorage.contracts.ref import Ref
    from moorage.contracts.signatures import (
        Envelope,
        SignatureReceipt,
        SignatureRequest,
        SignedFile,
        SigningLink,
    )
    from moorage.services.contracts.live_configuration import FindDispatcher


class SignaturesFlows(Flows, SignaturesContract):
    """The operations of one tenant."""


class Signatures(Uncopyable):
    """Has documents signed electronically by the vendor that the configuration chooses."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(SignaturesFlows, find_dispatcher, tenant)

    def send(
        self,
        request: SignatureRequest,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> SignatureReceipt:
        """Send documents, or the documents of a template, to their signers.

        Args:
            request: documents or template, signers and texts.
            idempotency_key: identifies this envelope: a repeat returns the same receipt, and
                after a lost response the envelope is looked up by it.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                SignaturesFlows.send, request, idempotency_key=idempotency_key, timeout=timeout
            )
        )

    def get(self, ref: Ref | str, *, timeout: float | None = None) -> Envelope:
        """Get the state of an envelope and of each signer.

        Args:
            ref: reference of the envelope.
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(SignaturesFlows.get, ref, timeout=timeout))

    def remind(
        self, ref: Ref | str, *, idempotency_key: str | None = None, timeout: float | None = None
    ) -> SignatureReceipt:
        """Send a reminder to the signers whose turn it is.

        Args:
            ref: reference of the envelope.
            idempotency_key: identifies this reminder: a repeat sends no second reminder.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                SignaturesFlows.remind, ref, idempotency_key=idempotency_key, timeout=timeout
            )
        )

    def void(
        self, ref: Ref | str, reason: str | None = None, *, timeout: float | None = None
    ) -> SignatureReceipt:
        """Void an envelope, so that no one can sign it; voiding it again has no further effect.

        Args:
            ref: reference of the envelope.
            reason: reason, which the vendor tells the signers.
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(SignaturesFlows.void, ref, reason, timeout=timeout))

    def signing_link(
        self,
        ref: Ref | str,
        email: str,
        return_url: str | None = None,
        *,
        timeout: float | None = None,
    ) -> SigningLink:
        """Make a link by which an embedded signer signs inside your application.

        Args:
            ref: reference of the envelope.
            email: email address of the signer, who must be an embedded signer.
            return_url: https:// address to which the signer returns.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(SignaturesFlows.signing_link, ref, email, return_url, timeout=timeout)
        )

    def download(self, ref: Ref | str, *, timeout: float | None = None) -> SignedFile:
        """Download the documents in their present state, as one PDF.

        They are signed by everybody only if the status of the envelope is `completed`.

        Args:
            ref: reference of the envelope.
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(SignaturesFlows.download, ref, timeout=timeout))

    def certificate(self, ref: Ref | str, *, timeout: float | None = None) -> SignedFile:
        """Download the vendor's certificate, which records the steps of signing, as a PDF.

        Args:
            ref: reference of the envelope.
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(SignaturesFlows.certificate, ref, timeout=timeout))


class AsyncSignatures(Uncopyable):
    """The asynchronous version of `Signatures`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(SignaturesFlows, find_dispatcher, tenant)

    async def send(
        self,
        request: SignatureRequest,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> SignatureReceipt:
        """Send documents, or the documents of a template, to their signers.

        Args:
            request: documents or template, signers and texts.
            idempotency_key: identifies this envelope: a repeat returns the same receipt, and
                after a lost response the envelope is looked up by it.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            SignaturesFlows.send, request, idempotency_key=idempotency_key, timeout=timeout
        )

    async def get(self, ref: Ref | str, *, timeout: float | None = None) -> Envelope:
        """Get the state of an envelope and of each signer.

        Args:
            ref: reference of the envelope.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(SignaturesFlows.get, ref, timeout=timeout)

    async def remind(
        self, ref: Ref | str, *, idempotency_key: str | None = None, timeout: float | None = None
    ) -> SignatureReceipt:
        """Send a reminder to the signers whose turn it is.

        Args:
            ref: reference of the envelope.
            idempotency_key: identifies this reminder: a repeat sends no second reminder.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            SignaturesFlows.remind, ref, idempotency_key=idempotency_key, timeout=timeout
        )

    async def void(
        self, ref: Ref | str, reason: str | None = None, *, timeout: float | None = None
    ) -> SignatureReceipt:
        """Void an envelope, so that no one can sign it; voiding it again has no further effect.

        Args:
            ref: reference of the envelope.
            reason: reason, which the vendor tells the signers.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(SignaturesFlows.void, ref, reason, timeout=timeout)

    async def signing_link(
        self,
        ref: Ref | str,
        email: str,
        return_url: str | None = None,
        *,
        timeout: float | None = None,
    ) -> SigningLink:
        """Make a link by which an embedded signer signs inside your application.

        Args:
            ref: reference of the envelope.
            email: email address of the signer, who must be an embedded signer.
            return_url: https:// address to which the signer returns.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            SignaturesFlows.signing_link, ref, email, return_url, timeout=timeout
        )

    async def download(self, ref: Ref | str, *, timeout: float | None = None) -> SignedFile:
        """Download the documents in their present state, as one PDF.

        They are signed by everybody only if the status of the envelope is `completed`.

        Args:
            ref: reference of the envelope.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(SignaturesFlows.download, ref, timeout=timeout)

    async def certificate(self, ref: Ref | str, *, timeout: float | None = None) -> SignedFile:
        """Download the vendor's certificate, which records the steps of signing, as a PDF.

        Args:
            ref: reference of the envelope.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(SignaturesFlows.certificate, ref, timeout=timeout)
