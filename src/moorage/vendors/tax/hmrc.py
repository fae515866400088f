"""HMRC: VAT numbers of the United Kingdom.

Version 2 of the API "Check a UK VAT number" with the client credentials of an application. HMRC
responds to an unknown number with HTTP 404 and a special code.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.tax import TaxCapability, Trader, VatCheck, VatNumber
from moorage.vendors.tax._common import (
    as_lines,
    check_answered,
    check_requester,
    without_numbers,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


_LIVE: Final = "https://api.service.hmrc.gov.uk"
_TEST: Final = "https://test-api.service.hmrc.gov.uk"
_LOOK_UP: Final = "/organisations/vat/check-vat-number/lookup"
_NOT_FOUND: Final = (404, "NOT_FOUND")
_DIGITS: Final = re.compile("[0-9]{9}(?:[0-9]{3})?")
_BUSINESS: Final = 9
"""The digits that name the business; three more digits name a part of it."""
_ADDRESS: Final = ("line1", "line2", "line3", "line4", "line5", "postcode")


def _check_digits(number: VatNumber | None, field: str) -> None:
    if number is not None and _DIGITS.fullmatch(number.number) is None:
        raise sdk.InvalidData(
            "HMRC does not check the VAT numbers of government departments and health authorities.",
            field=field,
            remedy="Pass a number of 9 or 12 digits.",
        )


@attrs.frozen(kw_only=True)
class Hmrc(sdk.OAuthVendor):
    """An application at HMRC.

    Attributes:
        client_id: client id of the application.
        client_secret: client secret of the application; without both, the credential provider
            supplies a token.
        base_url: URL of HMRC; its test system is https://test-api.service.hmrc.gov.uk.
    """

    name = "hmrc"
    kinds = ("tax",)
    api_version = "2.0"
    capabilities = frozenset({TaxCapability.UK_NUMBERS, TaxCapability.PROOF})

    headers: ClassVar[Mapping[str, str]] = {"Accept": "application/vnd.hmrc.2.0+json"}
    oauth_path = "/oauth/token"
    oauth_scope = "read:vat"
    oauth_authentication = sdk.ClientAuthentication.POST
    modes = sdk.url_modes(live=_LIVE, test=_TEST)
    refusals = sdk.Refusals(
        vendor="HMRC",
        # The requester is not registered; any other refusal with 403 concerns the application.
        codes_at={403: {"INVALID_REQUEST": sdk.InvalidRequest}},
        statuses=sdk.error_statuses("400", login="401 403"),
        mask=without_numbers,
    )

    base_url: str = _LIVE

    async def check_vat_number(
        self,
        wire: sdk.Wire,
        number: VatNumber,
        /,
        *,
        requester: VatNumber | None,
        trader: Trader | None,  # noqa: ARG002 - no capability of HMRC allows one
    ) -> VatCheck:
        """Ask HMRC for the business with a VAT number."""
        check_requester(
            requester,
            TaxCapability.UK_NUMBERS,
            "Pass a UK VAT number of your business, or leave the requester out.",
        )
        _check_digits(number, "number")
        _check_digits(requester, "requester")
        own_part = "" if requester is None else f"/{requester.number}"
        try:
            response = await wire.send(sdk.Request.get(f"{_LOOK_UP}/{number.number}{own_part}"))
        except sdk.VendorRejected as refusal:
            if (refusal.status, refusal.vendor_code) != _NOT_FOUND:
                raise
            raw = None if refusal.response is None else sdk.error_answer(refusal.response).raw
            return VatCheck(number=number, valid=False, checked_at=wire.now(), raw=raw)
        fields = sdk.read_answer(response)
        answered_number = fields.text("target.vatNumber") or ""
        check_answered(
            response, number.number[:_BUSINESS], answered_number[:_BUSINESS], "target.vatNumber"
        )
        proof = fields.text("consultationNumber")
        if requester is not None:
            sdk.required(proof, response, "consultationNumber")
        return VatCheck(
            number=number,
            valid=True,
            name=fields.text("target.name"),
            address=as_lines(fields.text(f"target.address.{part}") for part in _ADDRESS),
            proof=proof,
            checked_at=fields.time("processingDate") or wire.now(),
            raw=fields.raw,
        )
