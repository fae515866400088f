"""KSeF: Poland's national invoicing system, by its API 2.0.

KSeF takes FA(3) files, checks them some time later, and gives each accepted file a number; the
invoice then counts as delivered to the buyer. It takes no idempotency key. Each operation signs in
with the token of the account, because an access token is valid for minutes only, and is not
granted by OAuth. Each invoice is sent in its own session, which KSeF closes by itself.

Checked against the OpenAPI description and the pages of github.com/CIRFMF/ksef-docs of 2026-05-19.
"""

from __future__ import annotations

from base64 import b64encode
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.einvoices import (
    EinvoiceCapability,
    EinvoiceStatus,
    ReceivedInvoice,
    SentInvoice,
)
from moorage.vendors.einvoices._ksef_sealing import (
    LOGIN_PATH,
    KsefEncryption,
    PublicKey,
    is_usable,
    validity_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from moorage.contracts.einvoices import OutgoingInvoice

_FORM: Final = {"systemCode": "FA (3)", "schemaVersion": "1-0E", "value": "FA"}
_LIVE: Final = "https://api.ksef.mf.gov.pl/"
_TEST: Final = "https://api-"
_ROOTS: Final = frozenset({"Faktura", "Invoice", "CreditNote"})
_LOGIN_USE: Final = "KsefTokenEncryption"
_INVOICE_USE: Final = "SymmetricKeyEncryption"
_STATUSES: Final = {
    **dict.fromkeys(("100", "150"), EinvoiceStatus.ACCEPTED),
    "200": EinvoiceStatus.DELIVERED,
    **dict.fromkeys(
        ("405", "410", "415", "430", "435", "440", "450", "550"), EinvoiceStatus.FAILED
    ),
}
"""States of an invoice by KSeF's codes; 500 is an unknown error."""
_SIGNING_IN: Final = "100"
_SIGNED_IN: Final = "200"
_LOGIN_TRIES: Final = 30
_PAUSE: Final = 1.0


def _error_words(response: sdk.Response) -> tuple[str | None, str | None]:
    """Return the code and text of an error response's first problem."""
    answer = sdk.error_answer(response)
    problem = next(answer.objects("errors"), answer.object("errors"))
    texts = (problem.text("description"), *problem.texts("details"))
    words = " ".join(text for text in texts if text) or answer.text("detail")
    return problem.text("code"), sdk.masked_words(words or answer.text("title"))


_REFUSALS: Final = sdk.Refusals(
    vendor="KSeF",
    codes={
        **dict.fromkeys(("21111", "21301", "21304", "21308"), sdk.AuthenticationFailed),
        **dict.fromkeys(("21155", "21164", "21165", "21173", "21180"), sdk.VendorRejected),
    },
    statuses=sdk.error_statuses("400", login="401 403"),
    read=_error_words,
)


@attrs.frozen(kw_only=True)
class Ksef(sdk.Vendor):
    """A business in KSeF.

    Attributes:
        nip: tax number (NIP) of the business, in ten digits.
        credentials: KSeF token that may send and read invoices of the business.
        base_url: URL of the API.
    """

    name: ClassVar[str] = "ksef"
    kinds: ClassVar[tuple[str, ...]] = ("einvoices",)
    api_version: ClassVar[str | None] = "v2"
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {EinvoiceCapability.FA3, EinvoiceCapability.STATUS, EinvoiceCapability.DOWNLOAD}
    )
    limits: ClassVar[Mapping[str, int]] = {"document_bytes": 1_000_000}

    nip: str = attrs.field(
        validator=sdk.matches(
            "[1-9][0-9]{9}",
            problem="The value is not a Polish tax number (NIP).",
            remedy="Set its ten digits as a string, without PL and hyphens.",
        )
    )
    credentials: sdk.Secret = attrs.field(converter=sdk.as_secret)
    base_url: str = f"{_LIVE}v2"

    def services(self) -> Mapping[str, sdk.Service]:
        """The API; confidential content is encrypted when a request is sent."""
        return {
            "": sdk.Service(
                self.name,
                self.base_url,
                credentials=sdk.Credentials.none(),
                classify=_REFUSALS,
                headers={"X-Error-Format": "problem-details"},
                request_transforms=(KsefEncryption(self.credentials),),
                redaction=sdk.Redaction(secrets=(self.credentials,)),
            )
        }

    def mode(self) -> sdk.Mode | None:
        """Live mode in the production environment; test mode in the other two."""
        return sdk.mode_of_url(self.base_url, live=_LIVE, test=_TEST)

    async def send(
        self, wire: sdk.Wire, invoice: OutgoingInvoice, /, *, key: str | None
    ) -> SentInvoice:
        """Send an FA(3) invoice file in a session of its own."""
        access, keys = await self._sign_in(wire)
        unique_text = wire.new_id() if key is None else f"{wire.tenant or ''}\n{key}"
        seed = sha256(unique_text.encode() + b"\n" + invoice.document).hexdigest()
        opening = {"formCode": _FORM, "publicKey": keys[_INVOICE_USE], "seed": seed}
        session = await wire.send(
            sdk.Request.post("/sessions/online", json=opening, headers=access),
            key=None if key is None else sdk.part_key(key, "session"),
            parse=_read_reference,
        )
        body = {"document": b64encode(invoice.document).decode(), "seed": seed}
        request = sdk.Request.post(
            f"/sessions/online/{quote(session, safe='')}/invoices",
            json={**sdk.extra_for(self.name, invoice.extra), **body},
            headers=access,
        )
        return await wire.send(request, key=key, parse=partial(_read_sent, wire, session))

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> SentInvoice:
        """Get the state of a sent invoice, and its KSeF number once assigned."""
        session = ref.other("session")
        if session is None:
            raise sdk.InvalidData(
                "The reference does not identify an invoice that was sent.",
                field="ref",
                remedy="Pass the reference that `send` returned.",
            )
        access, _ = await self._sign_in(wire)
        path = f"/sessions/{quote(session, safe='')}/invoices/{quote(ref.id, safe='')}"
        response = await wire.send(sdk.Request.get(path, headers=access))
        fields = sdk.read_answer(response)
        code = sdk.required(fields.text("status.code"), response, "status.code")
        return SentInvoice(
            ref=ref,
            status=_STATUSES.get(code, EinvoiceStatus.UNKNOWN),
            vendor_status=code,
            official_number=fields.text("ksefNumber"),
            reason=_reason(fields) if _STATUSES.get(code) is EinvoiceStatus.FAILED else None,
            at=fields.time("acquisitionDate"),
            raw=fields.raw,
        )

    async def download(self, wire: sdk.Wire, ref: sdk.Ref, /) -> ReceivedInvoice:
        """Get an invoice file by its KSeF number, which is the reference's id."""
        access, _ = await self._sign_in(wire)
        path = f"/invoices/ksef/{quote(ref.id, safe='')}"
        response = await wire.send(sdk.Request.get(path, headers=access))
        try:
            root = sdk.read_xml(response.body)
        except sdk.NotXmlError:
            root = None
        if root is None or root.name not in _ROOTS:
            raise sdk.malformed(response, "Faktura")
        return ReceivedInvoice(
            ref=ref, vendor_type=root.name, document=response.body, raw=response.text
        )

    async def _sign_in(self, wire: sdk.Wire) -> tuple[Mapping[str, str], Mapping[str, PublicKey]]:
        """Get the header with an access token, and KSeF's current keys by usage.

        Raises:
            AuthenticationFailed: KSeF refuses the token.
        """
        asking_for_keys = sdk.Request.get("/security/public-key-certificates")
        keys = _read_keys(await wire.send(asking_for_keys), wire.now())
        challenge_request = sdk.Request.post("/auth/challenge").evolve(idempotent=True)
        response = await wire.send(challenge_request)
        challenge = sdk.read_answer(response)
        body = {
            "challenge": sdk.required(challenge.text("challenge"), response, "challenge"),
            "timestampMs": sdk.required(challenge.integer("timestampMs"), response, "timestampMs"),
            "contextIdentifier": {"type": "Nip", "value": self.nip},
            "publicKey": keys[_LOGIN_USE],
        }
        request = sdk.Request.post(LOGIN_PATH, json=body).evolve(idempotent=True)
        response = await wire.send(request)
        login = sdk.read_answer(response)
        number = sdk.required(login.text("referenceNumber"), response, "referenceNumber")
        proof = _bearer(login, "authenticationToken.token", response)
        await self._wait(wire, sdk.Request.get(f"/auth/{quote(number, safe='')}", headers=proof))
        response = await wire.send(sdk.Request.post("/auth/token/redeem", headers=proof))
        return _bearer(sdk.read_answer(response), "accessToken.token", response), keys

    async def _wait(self, wire: sdk.Wire, request: sdk.Request) -> None:
        """Wait until KSeF has checked the account's token."""
        for _ in range(_LOGIN_TRIES):
            response = await wire.send(request)
            fields = sdk.read_answer(response)
            code = sdk.required(fields.text("status.code"), response, "status.code")
            if code == _SIGNED_IN:
                return
            if code != _SIGNING_IN:
                reason = sdk.masked_words(_reason(fields))
                raise sdk.refusal(sdk.AuthenticationFailed, "KSeF", response, code, reason)
            await wire.sleep(_PAUSE)
        raise sdk.VendorFailed(
            "KSeF did not check the account's token within half a minute.",
            remedy="Try again later. Nothing was sent.",
        )


def _reason(fields: sdk.Answer) -> str:
    """The description of a state with its details; for a duplicate, the first invoice's number."""
    texts = (
        fields.text("status.description"),
        *fields.object("status").texts("details"),
        fields.text("status.extensions.originalKsefNumber"),
    )
    return " ".join(text for text in texts if text)


def _read_reference(response: sdk.Response) -> str:
    fields = sdk.read_answer(response)
    return sdk.required(fields.text("referenceNumber"), response, "referenceNumber")


def _read_sent(wire: sdk.Wire, session: str, response: sdk.Response) -> SentInvoice:
    ref = wire.ref(_read_reference(response), session=session)
    return SentInvoice(ref=ref, status=EinvoiceStatus.ACCEPTED, raw=sdk.read_answer(response).raw)


def _bearer(fields: sdk.Answer, name: str, response: sdk.Response) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {sdk.required(fields.text(name), response, name)}"}


def _read_keys(response: sdk.Response, now: datetime) -> Mapping[str, PublicKey]:
    """KSeF's keys by usage; of several usable keys, the one with the longest validity.

    Raises:
        VendorFailed: a usage has no key whose certificate is valid now.
    """
    usable = [
        (*validity_of(certificate), certificate, item)
        for item in sdk.read_answers(response)
        if is_usable(certificate := item.text("certificate") or "")
    ]
    usable.sort(key=lambda entry: entry[1])
    keys = {
        use: PublicKey(item.text("publicKeyId"), certificate)
        for begin, end, certificate, item in usable
        for use in item.texts("usage")
        if begin <= now <= end
    }
    for use in (_LOGIN_USE, _INVOICE_USE):
        if use not in keys and any(use in item.texts("usage") for *_, item in usable):
            raise sdk.VendorFailed(
                f"KSeF has no certificate for {use} that is valid now, so moorage cannot"
                " encrypt with it.",
                remedy="Check the clock of this machine. If the clock is right, try again later.",
            )
        sdk.required(keys.get(use), response, use)
    return keys
