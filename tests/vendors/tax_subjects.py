"""Test subjects of vendors that check VAT numbers, for the conformance kit."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from moorage.contracts.tax import Trader, TraderMatch, TraderMatches, VatNumber
from moorage.domain.http.requests import Response
from moorage.errors import (
    AuthenticationFailed,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.kits.tax_conformance import TaxSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.tax.brreg import BrregSandbox
from moorage.testing.sandboxes.tax.hmrc import HmrcSandbox
from moorage.testing.sandboxes.tax.vies import ViesSandbox
from moorage.vendors.tax.brreg import Brreg
from moorage.vendors.tax.hmrc import Hmrc
from moorage.vendors.tax.vies import Vies

GERMAN: Final = VatNumber.parse("DE136695976")
FRENCH: Final = VatNumber.parse("FR40303265045")
BRITISH: Final = VatNumber.parse("GB553557881")
NORWEGIAN: Final = VatNumber.parse("NO999999991MVA")
LOOK_UP: Final = "/organisations/vat/check-vat-number/lookup"
MOMENT: Final = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


def vies_error(code: str, status: int = 200, message: str | None = None) -> Response:
    """Return an error response of VIES."""
    problem = {"error": code} | ({} if message is None else {"message": message})
    return reply({"actionSucceed": False, "errorWrappers": [problem]}, status)


def vies_answer(**fields: Any) -> Response:
    """Return VIES's response about the French VAT number."""
    defaults = {"countryCode": "FR", "vatNumber": "40303265045", "valid": True}
    return reply({**defaults, "requestDate": "2031-05-06T07:08:09.000Z", **fields})


def vies() -> TaxSubject:
    """Return a VIES test subject with a new sandbox."""
    sandbox = ViesSandbox()
    outages = (
        *((code, VendorFailed) for code in ("MS_UNAVAILABLE", "SERVICE_UNAVAILABLE", "TIMEOUT")),
        *((f"{scope}_MAX_CONCURRENT_REQ", RateLimitExceeded) for scope in ("GLOBAL", "MS")),
        *((f"{scope}_MAX_CONCURRENT_REQ_TIME", RateLimitExceeded) for scope in ("GLOBAL", "MS")),
        ("A-CODE-NOBODY-KNOWS", VendorFailed),
    )
    return TaxSubject(
        vendor=Vies(),
        sandbox=sandbox,
        number=FRENCH,
        business={"name": "QUAI SARL", "address": "1 RUE DU PORT\n13002 MARSEILLE"},
        unknown=(VatNumber.parse("DE136695977"), VatNumber.parse("EL123456789")),
        other=vies_answer(vatNumber="40303265046"),
        outages=(
            *((vies_error(code), kind) for code, kind in outages),
            *((vies_error(code, 500), kind) for code, kind in outages),
            (vies_error("MS_UNAVAILABLE", 400), VendorFailed),
            (vies_answer(valid=False, userError="MS_UNAVAILABLE"), VendorFailed),
            (vies_answer(userError="TIMEOUT"), VendorFailed),
            (reply({"actionSucceed": False}), VendorFailed),
            (reply({"actionSucceed": False, "valid": False, "errorWrappers": []}), VendorFailed),
        ),
        refusals=(
            (vies_error("INVALID_INPUT"), InvalidRequest, "INVALID_INPUT"),
            (vies_error("INVALID_REQUESTER_INFO"), InvalidRequest, "INVALID_REQUESTER_INFO"),
            (
                vies_error("VOW-ERR-2600", 400, "The number 40303265045 has a wrong form"),
                InvalidRequest,
                "VOW-ERR-2600",
            ),
            (vies_error("VAT_BLOCKED"), AuthenticationFailed, "VAT_BLOCKED"),
            (vies_error("IP_BLOCKED", 403), AuthenticationFailed, "IP_BLOCKED"),
            (vies_error("A-CODE", 403), AuthenticationFailed, "A-CODE"),
            (vies_error("A-CODE", 409), VendorRejected, "A-CODE"),
            (Response(429), RateLimitExceeded, None),
        ),
        requester=GERMAN,
        foreign_requester=BRITISH,
        proofs=lambda: sandbox.proofs,
        requests=(
            (
                {},
                {
                    "countryCode": "FR",
                    "vatNumber": "40303265045",
                    "requesterMemberStateCode": None,
                    "traderName": None,
                },
            ),
            (
                {
                    "requester": GERMAN,
                    "trader": Trader(name="Quai", street="Rue 1", postal_code="13002", city="M"),
                },
                {
                    "requesterMemberStateCode": "DE",
                    "requesterNumber": "136695976",
                    "traderName": "Quai",
                    "traderStreet": "Rue 1",
                    "traderPostalCode": "13002",
                    "traderCity": "M",
                },
            ),
            ({"trader": Trader(city="M")}, {"traderName": None, "traderCity": "M"}),
        ),
        answers=(
            (
                vies_answer(name="---", address="---", requestIdentifier=""),
                {},
                {"valid": True, "name": None, "address": None, "proof": None, "matches": None},
            ),
            (
                vies_answer(name="QUAI", address="\nRUE 1\n13002 M\n", requestIdentifier="WAPI1"),
                {"requester": GERMAN},
                {
                    "name": "QUAI",
                    "address": "RUE 1\n13002 M",
                    "proof": "WAPI1",
                    "checked_at": MOMENT,
                },
            ),
            (
                vies_answer(
                    traderNameMatch="VALID",
                    traderStreetMatch="INVALID",
                    traderPostalCodeMatch="NOT_PROCESSED",
                    traderCityMatch="A-WORD-NOBODY-KNOWS",
                ),
                {"trader": Trader(name="Quai")},
                {
                    "matches": TraderMatches(name=TraderMatch.MATCH, street=TraderMatch.MISMATCH),
                },
            ),
            (
                vies_answer(valid=False, userError="INVALID", name="---", requestDate="someday"),
                {},
                {"valid": False, "name": None},
            ),
        ),
    )


def hmrc_error(status: int, code: str, message: str = "GB553557881 is refused") -> Response:
    """Return an error response of HMRC that contains a VAT number."""
    return reply({"code": code, "message": message}, status)


def hmrc_answer(number: str = "553557881", **fields: Any) -> Response:
    """Return HMRC's response about a VAT number."""
    target = {"name": "Quay Ltd", "vatNumber": number, "address": {"line1": "1 Quay"}}
    return reply({"target": target, "processingDate": "2031-05-06T08:08:09+01:00", **fields})


def hmrc() -> TaxSubject:
    """Return an HMRC test subject with a new sandbox."""
    sandbox = HmrcSandbox()
    own_number = VatNumber.parse("GB146295999727")
    return TaxSubject(
        vendor=Hmrc(client_id=sandbox.client_id, client_secret=sandbox.client_secret),
        sandbox=sandbox,
        number=BRITISH,
        business={
            "name": "Credite Sberger Donal Inc.",
            "address": "131B Barton Hamlet\nLondon\nSW97 5CK",
            "checked_at": MOMENT,
        },
        unknown=(VatNumber.parse("GB123456789"), VatNumber.parse("GB123456789012")),
        other=hmrc_answer("553557882"),
        outages=(
            (hmrc_error(500, "INTERNAL_SERVER_ERROR"), VendorFailed),
            (hmrc_error(503, "SCHEDULED_MAINTENANCE"), VendorFailed),
            (hmrc_error(429, "MESSAGE_THROTTLED_OUT"), RateLimitExceeded),
        ),
        refusals=(
            (hmrc_error(400, "INVALID_REQUEST"), InvalidRequest, "INVALID_REQUEST"),
            (hmrc_error(401, "INVALID_CREDENTIALS"), AuthenticationFailed, "INVALID_CREDENTIALS"),
            (hmrc_error(403, "RESOURCE_FORBIDDEN"), AuthenticationFailed, "RESOURCE_FORBIDDEN"),
            (hmrc_error(403, "INVALID_REQUEST"), InvalidRequest, "INVALID_REQUEST"),
            (
                hmrc_error(404, "MATCHING_RESOURCE_NOT_FOUND"),
                VendorRejected,
                "MATCHING_RESOURCE_NOT_FOUND",
            ),
            (hmrc_error(406, "ACCEPT_HEADER_INVALID"), VendorRejected, "ACCEPT_HEADER_INVALID"),
        ),
        requester=own_number,
        foreign_requester=GERMAN,
        proofs=lambda: sandbox.proofs,
        secret=sandbox.client_secret,
        requests=(
            ({}, f"{LOOK_UP}/553557881"),
            ({"requester": own_number}, f"{LOOK_UP}/553557881/146295999727"),
        ),
        answers=(
            (
                hmrc_answer(consultationNumber="yp-1", requester="146295999727"),
                {"requester": own_number},
                {
                    "valid": True,
                    "name": "Quay Ltd",
                    "address": "1 Quay",
                    "proof": "yp-1",
                    "checked_at": MOMENT,
                },
            ),
            (hmrc_error(404, "NOT_FOUND"), {}, {"valid": False, "name": None, "proof": None}),
        ),
    )


def brreg() -> TaxSubject:
    """Return a test subject of the Brønnøysund register with a new sandbox."""
    sandbox = BrregSandbox()
    entity = {"organisasjonsnummer": "999999991", "navn": "KAI AS"}
    return TaxSubject(
        vendor=Brreg(),
        sandbox=sandbox,
        number=NORWEGIAN,
        business={"name": "FJORD HANDEL AS", "address": "Havnegata 48\n8900 BRØNNØYSUND"},
        unknown=tuple(
            VatNumber.parse(f"NO{digits}MVA")
            for digits in ("999999992", "999999993", "999999994", "999999995")
        ),
        other=reply(
            {**entity, "organisasjonsnummer": "999999990", "registrertIMvaregisteret": True}
        ),
        outages=((Response(429), RateLimitExceeded),),
        refusals=(
            (reply({"feilmelding": "Ugyldig"}, 400), InvalidRequest, None),
            (Response(403), AuthenticationFailed, None),
        ),
        requests=(({}, "/enhetsregisteret/api/enheter/999999991"),),
        answers=(
            (
                reply({**entity, "registrertIMvaregisteret": False}),
                {},
                {"valid": False, "name": "KAI AS", "address": None, "proof": None},
            ),
            (
                reply({**entity, "registrertIMvaregisteret": True, "slettedato": "2030-01-31"}),
                {},
                {"valid": False},
            ),
            (
                reply({"organisasjonsnummer": "999999991", "slettedato": "2030-01-31"}, 410),
                {},
                {"valid": False, "name": None},
            ),
        ),
    )


SUBJECTS = [brreg, hmrc, vies]
