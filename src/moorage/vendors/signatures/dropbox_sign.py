"""Dropbox Sign: signature requests by the API v3.

Dropbox Sign takes no idempotency key. A request has the key's mark in its metadata instead; after a
lost response the request is looked up by this mark, and is never sent again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.signatures import (
    Envelope,
    EnvelopeStatus,
    SignatureReceipt,
    SignatureRequest,
    SignaturesCapability,
    SignedFile,
    SigningLink,
)
from moorage.vendors.signatures._common import (
    check_expiry,
    embedded_signer,
    mark_of,
    read_pdf,
    sent_once,
)
from moorage.vendors.signatures._dropbox_sign_answers import (
    DELETED,
    REFUSALS,
    awaited_signatures,
    read_envelope,
    read_events,
    read_found,
    read_receipt,
    request_in,
    signature_id,
)
from moorage.vendors.signatures._dropbox_sign_requests import (
    form_fields,
    form_files,
    request_fields,
    request_path,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


_MISSING: Final = {
    SignaturesCapability.ANCHORS,
    SignaturesCapability.LANGUAGE,
    SignaturesCapability.REMINDERS,
    SignaturesCapability.VOID_REASON,
    SignaturesCapability.CERTIFICATE,
}


def _auth(_: DropboxSign, secret: sdk.Secret) -> sdk.Credentials:
    """Basic authentication with the key as user name."""
    return sdk.Credentials.basic(secret.reveal(), "")


@attrs.frozen(kw_only=True)
class DropboxSign(sdk.ApiVendor):
    """An account at Dropbox Sign.

    Attributes:
        credentials: API key; by default the credential provider supplies `Credentials`.
        client_id: id of the API app, which embedded signers need.
        test_mode: True for requests without legal value, which are free.
        base_url: URL of the API.
    """

    name = "dropbox_sign"
    kinds = ("signatures",)
    api_version = "v3"
    capabilities = frozenset(SignaturesCapability) - _MISSING
    limits: ClassVar[Mapping[str, int]] = {"subject": 255, "message": 5_000}
    webhook = "dropbox-sign"

    auth = _auth
    refusals = REFUSALS
    ping_path = "/signature_request/list"
    event_reading = staticmethod(read_events)
    ping_query: ClassVar[Mapping[str, int]] = {"page_size": 1}

    client_id: str | None = None
    test_mode: bool = False
    base_url: str = "https://api.hellosign.com/v3"

    def mode(self) -> sdk.Mode | None:
        """Return test mode if the option `test_mode` is set, otherwise live mode."""
        return sdk.Mode.TEST if self.test_mode else sdk.Mode.LIVE

    async def send(
        self, wire: sdk.Wire, request: SignatureRequest, /, *, key: str | None
    ) -> SignatureReceipt:
        """Send a signature request; if the response is lost, look it up."""
        check_expiry(request, wire.now().date())
        path = request_path(request)
        if self.client_id is None and request.signers[0].embedded:
            raise sdk.InvalidData(
                "Dropbox Sign requires an API app for signing inside an application.",
                field="signers.embedded",
                remedy="Set the account's `client_id`, or leave `embedded` out.",
            )
        mark = None if key is None else mark_of(wire, key)
        account_fields: dict[str, Any] = {
            "client_id": self.client_id,
            "test_mode": self.test_mode or None,
        }
        fields = request_fields(request, mark, account_fields)
        content = sdk.merged(fields, sdk.extra_for(self.name, request.extra))
        files = form_files(request)
        message = (
            sdk.Request.post(path, form=form_fields(content), files=files)
            if files
            else sdk.Request.post(path, json=content)
        )

        async def sending() -> SignatureReceipt:
            return await wire.send(message, key=key, parse=partial(read_receipt, wire.ref))

        if mark is None:
            return await sending()
        return await sent_once(sending, partial(self._look_up, wire, mark))

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Envelope:
        """Get a signature request and its signatures."""
        path = f"/signature_request/{quote(ref.id, safe='')}"
        return await wire.send(sdk.Request.get(path), parse=partial(read_envelope, ref))

    async def remind(self, wire: sdk.Wire, ref: sdk.Ref, /, *, key: str | None) -> SignatureReceipt:
        """Send a reminder to each signer whose turn it is."""
        envelope = await self.get(wire, ref)
        path = f"/signature_request/remind/{quote(ref.id, safe='')}"
        receipt: SignatureReceipt | None = None
        for signature in awaited_signatures(request_in(envelope)):
            body = {
                "email_address": signature.text("signer_email_address"),
                "name": signature.text("signer_name"),
            }
            one_key = key and sdk.part_key(key, signature.text("signature_id") or "")
            receipt = await wire.send(
                sdk.Request.post(path, json=body),
                key=one_key,
                parse=partial(read_receipt, wire.ref),
            )
        return receipt or SignatureReceipt(ref=ref, status=envelope.status, raw=envelope.raw)

    async def void(
        self,
        wire: sdk.Wire,
        ref: sdk.Ref,
        reason: str | None,  # noqa: ARG002 - no capability of Dropbox Sign allows one
        /,
    ) -> SignatureReceipt:
        """Request a cancellation, which Dropbox Sign confirms by an event."""
        path = f"/signature_request/cancel/{quote(ref.id, safe='')}"
        request = sdk.Request.post(path).evolve(idempotent=True)
        try:
            await wire.send(request, parse=sdk.check_done)
        except sdk.VendorRejected as refusal:
            if refusal.vendor_code != DELETED:
                raise
            return SignatureReceipt(ref=ref, status=EnvelopeStatus.VOIDED)
        return SignatureReceipt(ref=ref, status=EnvelopeStatus.VOIDING)

    async def signing_link(
        self, wire: sdk.Wire, ref: sdk.Ref, email: str, return_url: str | None, /
    ) -> SigningLink:
        """Make an embedded signer's link, which your page opens in a frame."""
        if return_url is not None:
            raise sdk.InvalidData(
                "Dropbox Sign shows the page in a frame, and does not accept a return_url.",
                field="return_url",
                remedy="Leave `return_url` out, and listen to the events of the frame.",
            )
        envelope = await self.get(wire, ref)
        embedded_signer(envelope, email)
        id_ = signature_id(envelope, email)
        if id_ is None:
            raise sdk.VendorFailed(
                "Dropbox Sign's response contains no signature_id of the signer."
            )
        path = f"/embedded/sign_url/{quote(id_, safe='')}"
        return await wire.send(sdk.Request.get(path), parse=_read_link)

    async def download(self, wire: sdk.Wire, ref: sdk.Ref, /) -> SignedFile:
        """Download the documents as one PDF, which contains the audit trail after completion."""
        path = f"/signature_request/files/{quote(ref.id, safe='')}"
        request = sdk.Request.get(path, query={"file_type": "pdf"})
        return await wire.send(request, parse=read_pdf)

    async def _look_up(self, wire: sdk.Wire, mark: str) -> SignatureReceipt | None:
        query = {"query": f"metadata:{mark}"}
        request = sdk.Request.get("/signature_request/list", query=query)
        return await wire.send(request, parse=partial(read_found, wire.ref, mark))


def _read_link(response: sdk.Response) -> SigningLink:
    answer = sdk.read_answer(response).object("embedded")
    url = sdk.required(answer.text("sign_url"), response, "sign_url")
    return SigningLink(url=url, expires_at=answer.time("expires_at"))
