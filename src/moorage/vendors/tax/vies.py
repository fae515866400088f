"""VIES of the European Commission: VAT numbers of the member states and of Northern Ireland.

The REST API takes no credentials. VIES forwards each check to the member state, and reports a state
that does not answer in the body, mostly with HTTP 200. Each state has its own circuit, so the
outage of one does not stop the checks of the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.tax import TaxCapability, TraderMatch, TraderMatches, VatCheck
from moorage.vendors.tax._common import check_answered, check_requester, without_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.tax import Trader, VatNumber

    Kind = type[
        sdk.VendorRejected | sdk.VendorFailed | sdk.RateLimitExceeded | sdk.AuthenticationFailed
    ]

_STATES: Final = (
    *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "EL", "ES", "FI", "FR", "HR", "HU"),
    *("IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK", "XI"),
)
_CODES: Final[Mapping[str, Kind]] = {
    "INVALID_INPUT": sdk.InvalidRequest,
    "INVALID_REQUESTER_INFO": sdk.InvalidRequest,
    "SERVICE_UNAVAILABLE": sdk.VendorFailed,
    "MS_UNAVAILABLE": sdk.VendorFailed,
    "TIMEOUT": sdk.VendorFailed,
    "VAT_BLOCKED": sdk.AuthenticationFailed,
    "IP_BLOCKED": sdk.AuthenticationFailed,
    "GLOBAL_MAX_CONCURRENT_REQ": sdk.RateLimitExceeded,
    "GLOBAL_MAX_CONCURRENT_REQ_TIME": sdk.RateLimitExceeded,
    "MS_MAX_CONCURRENT_REQ": sdk.RateLimitExceeded,
    "MS_MAX_CONCURRENT_REQ_TIME": sdk.RateLimitExceeded,
}
_STATUSES: Final[Mapping[int, Kind]] = {
    400: sdk.InvalidRequest,
    403: sdk.AuthenticationFailed,
    429: sdk.RateLimitExceeded,
}
"""Errors by status, for codes that the other table lacks."""
_VERDICTS: Final = ("VALID", "INVALID")
_NOT_DISCLOSED: Final = ("---",)
_MATCHES: Final = {"VALID": TraderMatch.MATCH, "INVALID": TraderMatch.MISMATCH}


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error in a response's body, regardless of the status; None if there is none."""
    body = sdk.error_answer(response)
    problem = next(body.objects("errorWrappers"), sdk.Answer({}))
    verdict = body.text("userError")
    code = problem.text("error") or (None if verdict in _VERDICTS else verdict)
    is_success = sdk.is_success(response.status)
    if code is None and not (is_success and body.flag("actionSucceed") is False):
        return None
    words = sdk.masked_words(problem.text("message"))
    kind = _CODES.get(code or "")
    if kind is None:
        is_refused = not is_success and response.status < 500
        kind = _STATUSES.get(
            response.status, sdk.VendorRejected if is_refused else sdk.VendorFailed
        )
    return sdk.refusal(
        kind,
        "VIES",
        response,
        code,
        words and without_numbers(words),
        otherwise=code or "the check did not succeed",
    )


def check_body(
    number: VatNumber, requester: VatNumber | None, trader: Trader | None
) -> dict[str, Any]:
    """The body of a request that checks a VAT number."""
    body: dict[str, Any] = {"countryCode": number.prefix, "vatNumber": number.number}
    if requester is not None:
        body |= {
            "requesterMemberStateCode": requester.prefix,
            "requesterNumber": requester.number,
        }
    if trader is not None:
        body |= {
            "traderName": trader.name,
            "traderStreet": trader.street,
            "traderPostalCode": trader.postal_code,
            "traderCity": trader.city,
        }
    return {name: value for name, value in body.items() if value is not None}


def _disclosed_text(text: str | None) -> str | None:
    text = (text or "").strip()
    return None if text in _NOT_DISCLOSED else text or None


def _match(fields: sdk.Answer, name: str) -> TraderMatch:
    return _MATCHES.get(fields.text(f"{name}Match") or "", TraderMatch.UNKNOWN)


@attrs.frozen(kw_only=True)
class Vies(sdk.HttpVendor):
    """Access to VIES, which needs no account.

    Attributes:
        base_url: URL of the REST API.
    """

    name = "vies"
    kinds = ("tax",)
    capabilities = frozenset(
        {TaxCapability.EU_NUMBERS, TaxCapability.PROOF, TaxCapability.TRADER_MATCH}
    )

    refusals = staticmethod(classify)
    ping_path = "/check-status"

    base_url: str = "https://ec.europa.eu/taxation_customs/vies/rest-api"

    def static_credentials(self) -> sdk.Credentials:
        """No credentials, because VIES needs none."""
        return sdk.Credentials.none()

    def settings(self) -> Mapping[str, Any]:
        """An endpoint with a separate circuit for each member state."""
        circuit = sdk.CircuitBreakerConfig()
        return {"endpoints": [sdk.Endpoint(state, circuit=circuit) for state in _STATES]}

    async def check_vat_number(
        self,
        wire: sdk.Wire,
        number: VatNumber,
        /,
        *,
        requester: VatNumber | None,
        trader: Trader | None,
    ) -> VatCheck:
        """Check a VAT number at the tax authority of its member state."""
        check_requester(
            requester,
            TaxCapability.EU_NUMBERS,
            "Pass a VAT number of a member state or of Northern Ireland, or leave the"
            " requester out.",
        )
        body = check_body(number, requester, trader)
        # A check changes nothing, so it may be repeated although it uses POST.
        request = sdk.Request.post("/check-vat-number", json=body).evolve(idempotent=True)
        response = await wire.send(request, endpoint=number.prefix)
        fields = sdk.read_answer(response)
        valid = sdk.required(fields.flag("valid"), response, "valid")
        verdict = "VALID" if valid else "INVALID"
        if fields.value("errorWrappers") or (fields.value("userError") or verdict) != verdict:
            # Such a response may be an outage in an unknown form.
            raise sdk.malformed(
                response, "verdict that agrees with its userError and errorWrappers"
            )
        check_answered(response, number.prefix, fields.text("countryCode"), "countryCode")
        check_answered(response, number.number, fields.text("vatNumber"), "vatNumber")
        return VatCheck(
            number=number,
            valid=valid,
            name=_disclosed_text(fields.text("name")),
            address=_disclosed_text(fields.text("address")),
            proof=_disclosed_text(fields.text("requestIdentifier")),
            checked_at=fields.time("requestDate") or wire.now(),
            matches=None
            if trader is None
            else TraderMatches(
                name=_match(fields, "traderName"),
                street=_match(fields, "traderStreet"),
                postal_code=_match(fields, "traderPostalCode"),
                city=_match(fields, "traderCity"),
            ),
            raw=fields.raw,
        )
