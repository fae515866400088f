"""DocuSign: envelopes by the eSignature REST API v2.1.

DocuSign takes no idempotency key. An envelope has a transaction id instead, which is derived from
the key; after a lost response the envelope is looked up by this id, and is never sent again.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import quote, urlsplit

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
from moorage.vendors.signatures._docusign_answers import (
    NOT_VOIDABLE,
    REFUSALS,
    embedded_id,
    read_change,
    read_envelope,
    read_events,
    read_found,
    read_receipt,
)
from moorage.vendors.signatures._docusign_requests import envelope_body

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date


_TEST: Final = "https://demo.docusign.net"
_LIVE: Final = "https://"
_TEST_LOGIN: Final = "https://account-d.docusign.com"
_LIVE_LOGIN: Final = "https://account.docusign.com"
_SCOPE: Final = "signature impersonation"
_TOKEN_LIFE: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_NO_REASON: Final = "The sender has voided this envelope."
_PDF: Final = {"Accept": "application/pdf"}


@attrs.frozen(kw_only=True)
class Docusign(sdk.ApiVendor):
    """An account at DocuSign.

    Attributes:
        credentials: access token; without one, and without the fields below, the credential
            provider supplies `Credentials`.
        account_id: id of the account.
        base_url: URL of the account's site, which DocuSign calls base URI; the test system is
            https://demo.docusign.net.
        integration_key: client id of the application, to get tokens by a JWT.
        user_id: id of the user for whom the application acts.
        private_key: RSA private key of the application, in PEM.
        login_url: URL of the server that grants tokens; by default the one that belongs to
            `base_url`.
    """

    name = "docusign"
    kinds = ("signatures",)
    api_version = "v2.1"
    capabilities = frozenset(SignaturesCapability)
    limits: ClassVar[Mapping[str, int]] = {"subject": 100, "message": 10_000}
    modes = sdk.url_modes(live=_LIVE, test=_TEST)
    webhook = "docusign"

    refusals = REFUSALS
    ping_path = "/restapi/v2.1/accounts/{account_id}"
    event_reading = staticmethod(read_events)

    account_id: str
    base_url: str = _TEST
    integration_key: str | None = None
    user_id: str | None = None
    private_key: sdk.Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(sdk.as_secret)
    )
    login_url: str | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse an incomplete application, or an application together with an access token."""
        parts = (self.integration_key, self.user_id, self.private_key)
        given_count = len([part for part in parts if part is not None])
        if given_count not in {0, 3} or (given_count and self.credentials is not None):
            raise sdk.ConfigurationError(
                "DocuSign needs an integration key, a user id and a private key, or an access"
                " token instead.",
                path="integration_key",
                remedy="Set all three and no credentials, or remove all three.",
            )

    def clients(self) -> Mapping[str, sdk.OAuthClient]:
        """The application's OAuth client, which gets tokens by signed assertions."""
        if self.integration_key is None or self.private_key is None:
            return {}
        usual_login = _LIVE_LOGIN if self.mode() is sdk.Mode.LIVE else _TEST_LOGIN
        login = (self.login_url or usual_login).rstrip("/")
        signing = sdk.JwtSigning(
            algorithm="RS256",
            issuer=self.integration_key,
            subject=self.user_id,
            audience=urlsplit(login).netloc,
            lifetime=_TOKEN_LIFE,
            claims={"scope": _SCOPE},
        )
        client = sdk.OAuthClient(
            server=f"{login}/oauth/token",
            client_id=self.integration_key,
            grant=sdk.JwtBearer(signing, self.private_key),
        )
        return {"": client}

    async def send(
        self, wire: sdk.Wire, request: SignatureRequest, /, *, key: str | None
    ) -> SignatureReceipt:
        """Create and send an envelope; if the response is lost, look it up."""
        today = wire.now().date()
        check_expiry(request, today)
        mark = None if key is None else mark_of(wire, key)

        async def send_on(day: date) -> SignatureReceipt:
            body = envelope_body(request, mark, day)
            content = sdk.merged(body, sdk.extra_for(self.name, request.extra))
            read = partial(read_receipt, wire.ref)
            return await wire.send(
                sdk.Request.post(self._path(), json=content), key=key, parse=read
            )

        async def send_dated() -> SignatureReceipt:
            try:
                return await send_on(today)
            except sdk.IdempotencyConflict:
                # A repeat on the next day has one day less until the envelope expires.
                return await send_on(today - _DAY)

        if mark is None:
            return await send_dated()
        return await sent_once(send_dated, partial(self._look_up, wire, mark))

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Envelope:
        """Get an envelope and its signers."""
        request = sdk.Request.get(self._path(ref), query={"include": "recipients"})
        return await wire.send(request, parse=partial(read_envelope, ref))

    async def remind(self, wire: sdk.Wire, ref: sdk.Ref, /, *, key: str | None) -> SignatureReceipt:
        """Send the email again to every signer whose turn it is."""
        request = sdk.Request.put(self._path(ref), query={"resend_envelope": "true"}, json={})
        return await wire.send(
            request.evolve(idempotent=False), key=key, parse=partial(read_change, ref, None)
        )

    async def void(self, wire: sdk.Wire, ref: sdk.Ref, reason: str | None, /) -> SignatureReceipt:
        """Void an envelope; an envelope that is already void counts as voided."""
        body = {"status": "voided", "voidedReason": reason or _NO_REASON}
        request = sdk.Request.put(self._path(ref), json=body)
        read = partial(read_change, ref, EnvelopeStatus.VOIDED)
        try:
            return await wire.send(request, parse=read)
        except sdk.VendorRejected as refusal:
            if refusal.vendor_code != NOT_VOIDABLE:
                raise
            envelope = await self.get(wire, ref)
            if envelope.status is not EnvelopeStatus.VOIDED:
                raise
            return SignatureReceipt(ref=ref, status=envelope.status, raw=envelope.raw)

    async def signing_link(
        self, wire: sdk.Wire, ref: sdk.Ref, email: str, return_url: str | None, /
    ) -> SigningLink:
        """Make an embedded signer's link, which is valid for five minutes."""
        if return_url is None:
            raise sdk.InvalidData(
                "DocuSign requires the URL to which the signer returns.",
                field="return_url",
                remedy="Pass the https:// URL of a page of your application.",
            )
        envelope = await self.get(wire, ref)
        signer = embedded_signer(envelope, email)
        client_user = embedded_id(envelope, email)
        if client_user is None:
            raise sdk.InvalidData(
                "This signer signs by email, not inside your application.",
                field="email",
                remedy="Set `embedded=True` for the Signer when you send the envelope.",
            )
        body = {
            "returnUrl": return_url,
            "authenticationMethod": "none",
            "email": signer.email,
            "userName": signer.name,
            "clientUserId": client_user,
        }
        request = sdk.Request.post(self._path(ref, "views/recipient"), json=body)
        return await wire.send(request.evolve(idempotent=True), parse=_read_link)

    async def download(self, wire: sdk.Wire, ref: sdk.Ref, /) -> SignedFile:
        """Download the documents as one PDF, without the certificate."""
        path = self._path(ref, "documents/combined")
        query = {"certificate": "false"}
        return await wire.send(sdk.Request.get(path, query=query, headers=_PDF), parse=read_pdf)

    async def certificate(self, wire: sdk.Wire, ref: sdk.Ref, /) -> SignedFile:
        """Download the certificate of completion."""
        path = self._path(ref, "documents/certificate")
        return await wire.send(sdk.Request.get(path, headers=_PDF), parse=read_pdf)

    async def _look_up(self, wire: sdk.Wire, mark: str) -> SignatureReceipt | None:
        request = sdk.Request.get(self._path(), query={"transaction_ids": mark})
        return await wire.send(request, parse=partial(read_found, wire.ref, mark))

    def _path(self, ref: sdk.Ref | None = None, part: str | None = None) -> str:
        ids = [] if ref is None else [quote(ref.id, safe="")]
        parts = [quote(self.account_id, safe=""), "envelopes", *ids, *([part] if part else [])]
        return f"/restapi/v2.1/accounts/{'/'.join(parts)}"


def _read_link(response: sdk.Response) -> SigningLink:
    url = sdk.read_answer(response).text("url")
    return SigningLink(url=sdk.required(url, response, "url"))
