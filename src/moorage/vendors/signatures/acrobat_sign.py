"""Adobe Acrobat Sign: agreements by the REST API v6.

Documents are uploaded first, which sends nothing. Acrobat Sign takes no idempotency key, so an
agreement has the key's mark as its external id; after a lost response the agreement is looked up by
this mark, and is never sent again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.signatures import (
    Envelope,
    EnvelopeStatus,
    SignatureDocument,
    SignatureReceipt,
    SignatureRequest,
    SignaturesCapability,
    SignedFile,
    SigningLink,
)
from moorage.vendors.signatures._acrobat_sign_answers import (
    CANCELLED,
    REFUSALS,
    envelope_of,
    ids_in_turn,
    link_of,
    read_agreement,
    read_events,
    read_ids,
    read_list,
    read_receipt,
    read_upload,
    status_of,
)
from moorage.vendors.signatures._acrobat_sign_requests import (
    agreement_body,
    check_request,
    state_body,
    upload_request,
)
from moorage.vendors.signatures._common import (
    check_expiry,
    embedded_signer,
    mark_of,
    read_pdf,
    sent_once,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


_MISSING: Final = {
    SignaturesCapability.TEMPLATES,
    SignaturesCapability.ANCHORS,
    SignaturesCapability.POSITIONS,
}
_PDF: Final = {"Accept": "application/pdf"}


@attrs.frozen(kw_only=True)
class AcrobatSign(sdk.ApiVendor):
    """An account at Adobe Acrobat Sign.

    Attributes:
        credentials: integration key or access token; by default the credential provider supplies
            the token, and renews it.
        base_url: URL of the API at the account's access point, such as
            https://api.eu1.adobesign.com/api/rest/v6.
        api_user: user for whom an account's token acts, as email:… or userid:….
    """

    name = "acrobat_sign"
    kinds = ("signatures",)
    api_version = "v6"
    capabilities = frozenset(SignaturesCapability) - _MISSING
    webhook = "acrobat-sign"

    refusals = REFUSALS
    ping_path = "/baseUris"
    event_reading = staticmethod(read_events)

    base_url: str
    api_user: str | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(
            sdk.matches(
                "(?:email|userid):[!-~]{1,255}",
                problem="The value does not name a user of Acrobat Sign.",
                remedy="Set 'email:' and the address, or 'userid:' and the id, without spaces.",
            )
        ),
    )

    def settings(self) -> Mapping[str, Any]:
        """The header that names the user for whom the requests are made."""
        return {"headers": {} if self.api_user is None else {"x-api-user": self.api_user}}

    async def send(
        self, wire: sdk.Wire, request: SignatureRequest, /, *, key: str | None
    ) -> SignatureReceipt:
        """Upload the documents and send an agreement; if the response is lost, look it up."""
        check_expiry(request, wire.now().date())
        check_request(request)
        mark = None if key is None else mark_of(wire, key)
        files = [
            await _upload(wire, document, key and sdk.part_key(key, f"file-{number}"))
            for number, document in enumerate(request.documents)
        ]
        body = agreement_body(request, files, mark)
        message = sdk.Request.post(
            "/agreements", json=sdk.merged(body, sdk.extra_for(self.name, request.extra))
        )

        async def sending() -> SignatureReceipt:
            return await wire.send(message, key=key, parse=partial(read_receipt, wire.ref))

        if mark is None:
            return await sending()
        return await sent_once(sending, partial(_look_up, wire, mark))

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Envelope:
        """Get an agreement with its participants and events, by three requests."""
        agreement, _ = await _agreement(wire, ref)
        return await _envelope(wire, ref, agreement)

    async def remind(self, wire: sdk.Wire, ref: sdk.Ref, /, *, key: str | None) -> SignatureReceipt:
        """Send a reminder to the signers whose turn it is."""
        agreement, _ = await _agreement(wire, ref)
        ids = ids_in_turn(await _members(wire, ref))
        status = status_of(agreement)
        if not ids:
            return SignatureReceipt(ref=ref, status=status, raw=agreement.raw)
        body = {"recipientParticipantIds": ids, "status": "ACTIVE"}
        raw = await wire.send(
            sdk.Request.post(_path(ref, "reminders"), json=body), key=key, parse=_read_reminder
        )
        return SignatureReceipt(ref=ref, status=status, raw=raw)

    async def void(self, wire: sdk.Wire, ref: sdk.Ref, reason: str | None, /) -> SignatureReceipt:
        """Cancel an agreement; if its sender has already cancelled it, it counts as voided."""
        agreement, version = await _agreement(wire, ref)
        if agreement.text("status") == CANCELLED:
            envelope = await _envelope(wire, ref, agreement)
            if envelope.status is EnvelopeStatus.VOIDED:
                return SignatureReceipt(ref=ref, status=envelope.status, raw=envelope.raw)
        headers = {} if version is None else {"If-Match": version}
        await wire.send(
            sdk.Request.put(_path(ref, "state"), json=state_body(reason), headers=headers),
            parse=sdk.check_done,
        )
        return SignatureReceipt(ref=ref, status=EnvelopeStatus.VOIDED)

    async def signing_link(
        self, wire: sdk.Wire, ref: sdk.Ref, email: str, return_url: str | None, /
    ) -> SigningLink:
        """Get an embedded signer's link when it is the signer's turn."""
        if return_url is not None:
            raise sdk.InvalidData(
                "Acrobat Sign accepts a return_url only when the agreement is sent.",
                field="return_url",
                remedy="Leave `return_url` out, and pass `postSignOption` in the `extra` of"
                " the request.",
            )
        agreement, _ = await _agreement(wire, ref)
        signer = embedded_signer(await _envelope(wire, ref, agreement), email)
        if agreement.text("emailOption.sendOptions.initEmails") != "NONE":
            raise sdk.InvalidData(
                "This signer signs by email, not inside your application.",
                field="email",
                remedy="Set `embedded=True` for the Signer when you send the agreement.",
            )
        request = sdk.Request.get(_path(ref, "signingUrls"))
        url = await wire.send(request, parse=partial(link_of, signer.email or ""))
        if url is None:
            raise sdk.InvalidData(
                "This signer cannot sign yet, because other signers come first.",
                field="email",
                remedy="Create the link after the earlier signers have signed.",
            )
        return SigningLink(url=url)

    async def download(self, wire: sdk.Wire, ref: sdk.Ref, /) -> SignedFile:
        """Download the documents as one PDF, without the audit report."""
        request = sdk.Request.get(_path(ref, "combinedDocument"), headers=_PDF)
        return await wire.send(request, parse=read_pdf)

    async def certificate(self, wire: sdk.Wire, ref: sdk.Ref, /) -> SignedFile:
        """Download the audit report."""
        request = sdk.Request.get(_path(ref, "auditTrail"), headers=_PDF)
        return await wire.send(request, parse=read_pdf)


def _path(ref: sdk.Ref, part: str = "") -> str:
    return f"/agreements/{quote(ref.id, safe='')}{part and '/'}{part}"


def _read_reminder(response: sdk.Response) -> Any:
    answer = sdk.read_answer(response)
    sdk.required(answer.text("id"), response, "id")
    return answer.raw


async def _upload(wire: sdk.Wire, document: SignatureDocument, key: str | None) -> str:
    """The id of an uploaded document; a repeat with the same key returns the same id."""
    return await wire.send(upload_request(document), key=key, parse=read_upload)


async def _agreement(wire: sdk.Wire, ref: sdk.Ref) -> tuple[sdk.Answer, str | None]:
    return await wire.send(sdk.Request.get(_path(ref)), parse=partial(read_agreement, ref))


async def _members(wire: sdk.Wire, ref: sdk.Ref) -> tuple[sdk.Answer, ...]:
    request = sdk.Request.get(_path(ref, "members"))
    return await wire.send(request, parse=partial(read_list, "participantSets"))


async def _envelope(wire: sdk.Wire, ref: sdk.Ref, agreement: sdk.Answer) -> Envelope:
    sets = await _members(wire, ref)
    request = sdk.Request.get(_path(ref, "events"))
    events = await wire.send(request, parse=partial(read_list, "events"))
    return envelope_of(ref, agreement, sets, events)


async def _look_up(wire: sdk.Wire, mark: str) -> SignatureReceipt | None:
    """The receipt of the agreement with a search mark, which is found by reading all agreements."""
    query = {"externalId": mark, "showHiddenAgreements": "true"}
    for id_ in await wire.send(sdk.Request.get("/agreements", query=query), parse=read_ids):
        ref = wire.ref(id_)
        agreement, _ = await _agreement(wire, ref)
        if agreement.text("externalId.id") == mark:
            return SignatureReceipt(ref=ref, status=status_of(agreement), raw=agreement.raw)
    return None
