"""Brønnøysund Register Centre: VAT numbers of Norway.

The open API of the register of legal entities, which takes no credentials. A Norwegian VAT number
is the number of an entity, which is marked as registered for VAT or not. The register responds to
an unknown entity with a bare HTTP 404, just like a wrong URL. So a search must confirm that there
is no such entity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.tax import TaxCapability, Trader, VatCheck, VatNumber
from moorage.vendors.tax._common import as_lines, check_answered, without_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping


_NOT_FOUND: Final = 404
_REMOVED: Final = 410
_ID: Final = "organisasjonsnummer"


def _read_refusal(response: sdk.Response) -> tuple[None, str | None]:
    """Return the text of an error response, with those of the fields that it refuses."""
    answer = sdk.error_answer(response)
    texts = [answer.text("feilmelding")]
    texts += [part.text("feilmelding") for part in answer.objects("valideringsfeil")]
    return None, sdk.masked_words("; ".join(dict.fromkeys(filter(None, texts))))


@attrs.frozen(kw_only=True)
class Brreg(sdk.HttpVendor):
    """Access to the Brønnøysund register, which needs no account.

    Attributes:
        base_url: URL of the API.
    """

    name = "brreg"
    kinds = ("tax",)
    capabilities = frozenset({TaxCapability.NORWEGIAN_NUMBERS})

    headers: ClassVar[Mapping[str, str]] = {"Accept": "application/json"}
    refusals = sdk.Refusals(
        vendor="The Brønnøysund register",
        statuses={400: sdk.InvalidRequest, 429: sdk.RateLimitExceeded},
        read=_read_refusal,
        mask=without_numbers,
    )

    base_url: str = "https://data.brreg.no/enhetsregisteret/api"

    def static_credentials(self) -> sdk.Credentials:
        """No credentials, because the register needs none."""
        return sdk.Credentials.none()

    async def check_vat_number(
        self,
        wire: sdk.Wire,
        number: VatNumber,
        /,
        *,
        requester: VatNumber | None,  # noqa: ARG002 - no capability of the register allows one
        trader: Trader | None,  # noqa: ARG002 - no capability of the register allows one
    ) -> VatCheck:
        """Ask the register whether an organisation is registered for VAT."""
        id_ = number.number.removesuffix("MVA")
        try:
            response = await wire.send(sdk.Request.get(f"/enheter/{id_}"))
        except sdk.VendorRejected as refusal:
            response = await _absence(wire, id_, refusal)
            raw = sdk.error_answer(response).raw
            return VatCheck(number=number, valid=False, checked_at=wire.now(), raw=raw)
        fields = sdk.read_answer(response)
        check_answered(response, id_, fields.text(_ID), _ID)
        valid = False  # which is also the response for a deleted entity
        if fields.text("slettedato") is None:
            name = "registrertIMvaregisteret"
            valid = sdk.required(fields.flag(name), response, name)
        address = fields.object("forretningsadresse")
        postal_line = " ".join(filter(None, (address.text("postnummer"), address.text("poststed"))))
        return VatCheck(
            number=number,
            valid=valid,
            name=fields.text("navn"),
            address=as_lines((*address.texts("adresse"), postal_line)),
            checked_at=wire.now(),
            raw=fields.raw,
        )


async def _absence(wire: sdk.Wire, id_: str, refusal: sdk.VendorRejected) -> sdk.Response:
    """Return the result for an unknown organisation; raise other error responses again."""
    if refusal.status == _REMOVED and refusal.response is not None:
        check_answered(refusal.response, id_, sdk.error_answer(refusal.response).text(_ID), _ID)
        return refusal.response
    if refusal.status != _NOT_FOUND:
        raise refusal
    response = await wire.send(sdk.Request.get("/enheter", query={_ID: id_}))
    if sdk.read_answer(response).integer("page.totalElements") != 0:
        raise sdk.malformed(response, "page.totalElements of 0, although the entity was not found")
    return response
