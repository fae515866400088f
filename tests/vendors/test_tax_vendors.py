"""Vendors that check VAT numbers pass the conformance kit; routes choose among the vendors."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import moorage
from moorage.contracts.routes import Account, Route
from moorage.contracts.tax import VatNumber
from moorage.contracts.vat_forms import VAT_FORMS
from moorage.domain.http.requests import Request
from moorage.domain.service.safety import Mode
from moorage.errors import (
    CircuitBreakerOpen,
    ConfigurationError,
    ConnectorError,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing import VirtualClock, VirtualSleeper, name_of, tax_conformance
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.testing.sandboxes.tax.brreg import BrregSandbox
from moorage.testing.sandboxes.tax.hmrc import HmrcSandbox
from moorage.testing.sandboxes.tax.vies import ViesSandbox
from moorage.vendors.tax.hmrc import Hmrc
from moorage.vendors.tax.vies import Vies, classify
from tests.vendors import tax_subjects
from tests.vendors.tax_subjects import SUBJECTS

if TYPE_CHECKING:
    from moorage.testing.kits.tax_conformance import AsyncCheck, Check, Factory

NUMBERS = {"vies": "FR40303265045", "hmrc": "GB553557881", "brreg": "NO 999 999 991 MVA"}


@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
@pytest.mark.parametrize("check", tax_conformance.CHECKS, ids=name_of)
def test_tax_vendor_conforms(check: Check, subject: Factory) -> None:
    """Each vendor that checks VAT numbers passes the kit with a synchronous hub."""
    check(subject)


@pytest.mark.untraced
@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
@pytest.mark.parametrize("check", tax_conformance.ASYNC_CHECKS, ids=name_of)
def test_tax_vendor_conforms_async(check: AsyncCheck, subject: Factory) -> None:
    """Each vendor that checks VAT numbers passes the kit with an asynchronous hub."""
    asyncio.run(check(subject))


@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
def test_vendor_is_reached_over_a_socket(subject: Factory) -> None:
    """A VAT number is checked over a real connection."""
    new_subject = subject()
    vendor: Any = new_subject.vendor
    path = vendor.base_url.partition("://")[2].partition("/")[2]
    with new_subject.sandbox.serving() as server:
        url = f"{server.url}/{path}".rstrip("/")
        with Hub([Account("register", attrs.evolve(vendor, base_url=url))]) as hub:
            assert hub.tax().check_vat_number(new_subject.number).valid


def open_all(**tax: Any) -> tuple[moorage.Hub, dict[str, Any]]:
    """Return a hub with the three VAT number vendors on one route, and their sandboxes."""
    application = HmrcSandbox()
    sandboxes = {"vies": ViesSandbox(), "hmrc": application, "brreg": BrregSandbox()}
    configuration = {
        "tax": {"vendor": ["vies", "hmrc", "brreg"], **tax},
        "vendors": {
            "vies": {},
            "brreg": {},
            "hmrc": {
                "client_id": application.client_id,
                "client_secret": application.client_secret,
            },
        },
    }
    return moorage.open(configuration, http=SandboxHttpClient(*sandboxes.values())), sandboxes


def test_each_number_goes_to_vendor_that_can_check_it_on_route_of_three_vendors() -> None:
    """On a route of three vendors, each number goes to the vendor that can check it."""
    hub, sandboxes = open_all()
    with hub:
        for name, number in NUMBERS.items():
            counts = {other: len(sandbox.requests) for other, sandbox in sandboxes.items()}
            assert hub.tax().check_vat_number(number).valid
            called = [other for other in counts if len(sandboxes[other].requests) > counts[other]]
            assert [name] == called


def test_a_number_without_a_vendor_is_refused_before_sending() -> None:
    """If no configured vendor can check a number, an error is raised and nothing is sent."""
    vies = ViesSandbox()
    configuration = {"tax": {"vendor": "vies"}, "vendors": {"vies": {}}}
    with moorage.open(configuration, http=SandboxHttpClient(vies)) as hub:
        with pytest.raises(UnsupportedByVendor) as excinfo:
            hub.tax().check_vat_number("GB553557881")
        assert ("uk_numbers",) == excinfo.value.capabilities
        assert ("hmrc",) == excinfo.value.supported_by
    assert [] == vies.requests


def test_requester_is_refused_for_norwegian_number() -> None:
    """Checking a Norwegian number for a requester is refused: its register gives no proof."""
    hub, sandboxes = open_all()
    with hub, pytest.raises(UnsupportedByVendor):
        hub.tax().check_vat_number(NUMBERS["brreg"], requester=NUMBERS["hmrc"])
    assert [] == sandboxes["brreg"].requests


def test_routes_match_the_country_of_a_number() -> None:
    """A route for GR accepts Greek VAT numbers, even though these begin with EL."""
    configuration = {
        "tax": [{"vendor": "brreg"}, {"vendor": "vies", "countries": ["GR", "FR"]}],
        "vendors": {"vies": {}, "brreg": {}},
    }
    vies, brreg = ViesSandbox(), BrregSandbox()
    with moorage.open(configuration, http=SandboxHttpClient(vies, brreg)) as hub:
        assert not hub.tax().check_vat_number("EL123456789").valid
        with pytest.raises(UnsupportedByVendor):
            hub.tax().check_vat_number("DE136695976")


def test_unavailable_member_state_opens_its_own_circuit_only() -> None:
    """If a member state is unavailable, only its own circuit opens; other states are checked."""
    vies, clock = ViesSandbox(), VirtualClock()
    vies.unavailable.add("DE")
    with Hub(
        [Account("vies", Vies(), settings={"retry": None})],
        http=SandboxHttpClient(vies),
        clock=clock,
        sleeper=VirtualSleeper(clock),
    ) as hub:
        for _ in range(5):
            with pytest.raises(VendorFailed):
                hub.tax().check_vat_number("DE136695976")
        with pytest.raises(CircuitBreakerOpen):
            hub.tax().check_vat_number("DE136695976")
        assert hub.tax().check_vat_number("FR40303265045").valid
        vies.unavailable.clear()
        clock.advance(61)
        assert hub.tax().check_vat_number("DE136695976").valid


def test_failed_vies_check_is_retried_although_it_is_post() -> None:
    """A failed VIES check is retried although it uses POST, because it changes nothing."""
    vies, clock = ViesSandbox(), VirtualClock()
    vies.fail(tax_subjects.vies_error("MS_UNAVAILABLE"), tax_subjects.vies_error("TIMEOUT"))
    with Hub(
        [Account("vies", Vies())],
        http=SandboxHttpClient(vies),
        clock=clock,
        sleeper=VirtualSleeper(clock),
    ) as hub:
        assert hub.tax().check_vat_number("DE136695976").valid
    assert 3 == len(vies.requests)


@pytest.mark.parametrize(
    "state, number",
    [("DE", "DE000000301"), ("AT", "ATU00000301"), ("NL", "NL000000301B01"), ("XI", "XI000000301")],
)
def test_magic_numbers_of_the_sandbox(state: str, number: str) -> None:
    """For VIES's documented test numbers, the sandbox reports a member state as unavailable."""
    with Hub(
        [Account("vies", Vies(), settings={"retry": None})], http=SandboxHttpClient(ViesSandbox())
    ) as hub:
        with pytest.raises(VendorFailed) as excinfo:
            hub.tax().check_vat_number(number)
        assert "MS_UNAVAILABLE" == excinfo.value.vendor_code
        assert state == VatNumber.parse(number).prefix


def test_hmrc_without_a_consultation_number_is_no_success() -> None:
    """If HMRC's response lacks the proof that the requester needs, an error is raised."""
    sandbox = HmrcSandbox()
    vendor = Hmrc(client_id=sandbox.client_id, client_secret=sandbox.client_secret)
    with Hub(
        [Account("hmrc", vendor, settings={"retry": None})], http=SandboxHttpClient(sandbox)
    ) as hub:
        sandbox.fail(tax_subjects.hmrc_answer())
        with pytest.raises(VendorFailed, match="consultationNumber"):
            hub.tax().check_vat_number("GB553557881", requester="GB146295999727")


def test_hmrc_refuses_an_unregistered_requester() -> None:
    """HMRC's code tells an unregistered requester from an application without permission."""
    sandbox = HmrcSandbox()
    vendor = Hmrc(client_id=sandbox.client_id, client_secret=sandbox.client_secret)
    with Hub([Account("hmrc", vendor)], http=SandboxHttpClient(sandbox)) as hub:
        sandbox.fail(tax_subjects.hmrc_error(403, "INVALID_REQUEST"))
        with pytest.raises(InvalidRequest):
            hub.tax().check_vat_number("GB553557881", requester="GB146295999727")


def test_address_at_hmrc_has_six_lines() -> None:
    """An address at HMRC has up to five lines and the postal code, in this order."""
    sandbox = HmrcSandbox()
    vendor = Hmrc(client_id=sandbox.client_id, client_secret=sandbox.client_secret)
    lines = {f"line{number}": f"L{number}" for number in range(1, 7)}
    address = {**lines, "postcode": "SW1A 1AA", "countryCode": "GB"}
    target = {"name": "Quay Ltd", "vatNumber": "553557881", "address": address}
    with Hub([Account("hmrc", vendor)], http=SandboxHttpClient(sandbox)) as hub:
        sandbox.fail(tax_subjects.hmrc_answer(target=target))
        result = hub.tax().check_vat_number("GB553557881")

    assert "L1\nL2\nL3\nL4\nL5\nSW1A 1AA" == result.address


@pytest.mark.parametrize(
    "number, answered_number, is_same",
    [
        ("GB553557881123", "553557881", True),
        ("GB553557881", "553557881123", True),
        ("GB553557881", "553557882", False),
        ("GB553557881", "553557880881", False),
    ],
)
def test_first_nine_digits_at_hmrc_name_the_business(
    number: str, answered_number: str, is_same: bool
) -> None:
    """Numbers of two parts of a business, which differ in three further digits, are of one."""
    sandbox = HmrcSandbox()
    vendor = Hmrc(client_id=sandbox.client_id, client_secret=sandbox.client_secret)
    expectation = nullcontext() if is_same else pytest.raises(VendorFailed, match="vatNumber")
    with Hub([Account("hmrc", vendor)], http=SandboxHttpClient(sandbox)) as hub, expectation:
        sandbox.fail(tax_subjects.hmrc_answer(answered_number))
        assert hub.tax().check_vat_number(number).valid


@pytest.mark.parametrize("fields", [{"number": "GBGD001"}, {"requester": "GBHA599"}])
def test_hmrc_refuses_numbers_of_departments(fields: dict[str, Any]) -> None:
    """A number of a government department is refused before anything is sent."""
    sandbox = HmrcSandbox()
    vendor = Hmrc(client_id=sandbox.client_id, client_secret=sandbox.client_secret)
    arguments: dict[str, Any] = {"number": "GB553557881", **fields}
    with (
        Hub([Account("hmrc", vendor)], http=SandboxHttpClient(sandbox)) as hub,
        pytest.raises(InvalidData) as excinfo,
    ):
        hub.tax().check_vat_number(**arguments)
    assert [excinfo.value.field] == list(fields)
    assert [] == sandbox.requests


def test_client_id_without_secret_is_refused() -> None:
    """A client id without a secret is refused."""
    with pytest.raises(ConfigurationError, match="client_secret is missing"):
        Hmrc(client_id="c")


def test_brreg_search_must_agree_that_an_entity_is_unknown() -> None:
    """After a 404 an entity counts as unknown only if a search does not find it either."""
    for search in (reply({}), reply({"page": {"totalElements": 1}})):
        sandbox = BrregSandbox()
        sandbox.fail(None, search)
        configuration = {"tax": {"vendor": "brreg"}, "vendors": {"brreg": {}}}
        with (
            moorage.open(configuration, http=SandboxHttpClient(sandbox)) as hub,
            pytest.raises(VendorFailed),
        ):
            hub.tax().check_vat_number("NO999999995MVA")


@pytest.mark.parametrize("status", [400, 405, 409, 451])
def test_only_404_or_410_leads_to_search_for_entity(status: int) -> None:
    """Only a 404 or 410 leads to a search for the entity; other errors are raised."""
    sandbox = BrregSandbox()
    sandbox.fail(reply({"feilmelding": "Nei"}, status))
    configuration = {"tax": {"vendor": "brreg"}, "vendors": {"brreg": {}}}
    with (
        moorage.open(configuration, http=SandboxHttpClient(sandbox)) as hub,
        pytest.raises(VendorRejected) as excinfo,
    ):
        hub.tax().check_vat_number("NO999999995MVA")
    assert status == excinfo.value.status
    assert "Nei" == excinfo.value.vendor_message
    assert 1 == len(sandbox.requests)


def test_brreg_errors_have_the_texts_of_the_refused_parameters() -> None:
    """An error of the Norwegian register has its texts, and no organisation's number."""
    sandbox = BrregSandbox()
    text = "Organisasjonsnummer 999999995 er ugyldig"
    details = [{"feilmelding": text, "parametere": ["orgnr"], "feilaktigVerdi": "999999995"}]
    body = {"status": 400, "feilmelding": "Feilaktig forespørsel", "valideringsfeil": details}
    limit = {"status": 429, "feilmelding": "For mange forespørsler"}
    sandbox.fail(reply(body, 400), reply(limit, 429))
    settings = {"retry": {"max_attempts": 1}}
    configuration = {"tax": {"vendor": "brreg"}, "vendors": {"brreg": settings}}
    with moorage.open(configuration, http=SandboxHttpClient(sandbox)) as hub:
        with pytest.raises(InvalidRequest) as invalid:
            hub.tax().check_vat_number("NO999999995MVA")
        with pytest.raises(RateLimitExceeded) as limited:
            hub.tax().check_vat_number("NO999999995MVA")

    words = "Feilaktig forespørsel; Organisasjonsnummer (number) er ugyldig"
    assert words == invalid.value.vendor_message
    assert words in invalid.value.message
    assert "For mange forespørsler" == limited.value.vendor_message


@pytest.mark.parametrize(
    "fields",
    [
        {"valid": True, "userError": "INVALID"},
        {"valid": False, "userError": "VALID"},
        {"valid": False, "userError": ["MS_UNAVAILABLE"]},
        {"valid": False, "errorWrappers": {"error": "MS_UNAVAILABLE"}},
        {"valid": False, "errorWrappers": ["MS_UNAVAILABLE"]},
        {"valid": False, "errorWrappers": [{}, {"error": "MS_UNAVAILABLE"}]},
    ],
)
def test_contradictory_answer_of_vies_is_no_verdict(fields: dict[str, Any]) -> None:
    """A VIES response that contradicts itself gives no verdict, but an error."""
    sandbox = ViesSandbox()
    sandbox.fail(tax_subjects.vies_answer(**fields))
    with (
        Hub([Account("vies", Vies())], http=SandboxHttpClient(sandbox)) as hub,
        pytest.raises(VendorFailed, match="has no verdict that"),
    ):
        hub.tax().check_vat_number("FR40303265045")


@pytest.mark.parametrize("name", ["countryCode", "vatNumber"])
def test_vies_names_the_field_of_another_number(name: str) -> None:
    """If the response of VIES is about another number, the error names the differing field."""
    for value in ("XX", None):
        sandbox = ViesSandbox()
        sandbox.fail(tax_subjects.vies_answer(**{name: value}))
        with (
            Hub([Account("vies", Vies())], http=SandboxHttpClient(sandbox)) as hub,
            pytest.raises(VendorFailed, match=f"has no {name} equal to") as excinfo,
        ):
            hub.tax().check_vat_number("FR40303265045")
        assert not excinfo.value.retryable


def test_each_member_state_prefix_has_endpoint_with_its_own_circuit() -> None:
    """Each member state's prefix has an endpoint with its own circuit."""
    endpoints = {endpoint.name: endpoint for endpoint in Vies().services()[""].endpoints}
    assert {prefix for prefix in VAT_FORMS if prefix not in {"GB", "NO"}} == endpoints.keys()
    assert all(endpoint.circuit is not None for endpoint in endpoints.values())


def test_hmrc_takes_a_token_of_the_credential_provider() -> None:
    """Without credentials in its settings, HMRC gets its token from the credential provider."""
    vendor = Hmrc()
    assert {} == vendor.clients()
    assert vendor.services()[""].needs_credentials
    with pytest.raises(ConfigurationError, match="client_id is missing"):
        Hmrc(client_secret="s")


@pytest.mark.parametrize(
    "url, mode",
    [
        ("https://api.service.hmrc.gov.uk", Mode.LIVE),
        ("https://test-api.service.hmrc.gov.uk", Mode.TEST),
        ("https://hmrc.example", None),
    ],
)
def test_url_decides_whether_checks_go_to_hmrc_test_system(url: str, mode: Mode | None) -> None:
    """The URL decides whether checks go to HMRC's test system."""
    assert mode == Hmrc(base_url=url).mode()


def test_vies_messages_are_kept_without_numbers() -> None:
    """An error has VIES's message, with the VAT number removed from it."""
    sandbox = ViesSandbox()
    sandbox.fail(tax_subjects.vies_error("VOW-ERR-2600", 400, "FR40303265045 is malformed"))
    with (
        Hub([Account("vies", Vies())], http=SandboxHttpClient(sandbox)) as hub,
        pytest.raises(InvalidRequest) as excinfo,
    ):
        hub.tax().check_vat_number("FR40303265045")
    assert "(number) is malformed" == excinfo.value.vendor_message


@pytest.mark.parametrize(
    "vendor, sandbox, answer, number",
    [
        (Vies(), ViesSandbox(), tax_subjects.vies_answer(requestDate=None), "FR40303265045"),
        (
            Hmrc(client_id="hmrc-sandbox-client", client_secret="hmrc-sandbox-secret"),
            HmrcSandbox(),
            tax_subjects.hmrc_answer(processingDate=None),
            "GB553557881",
        ),
    ],
    ids=["vies", "hmrc"],
)
def test_a_check_without_a_date_has_the_time_of_this_machine(
    vendor: Any, sandbox: Any, answer: Any, number: str
) -> None:
    """If the register states no time, the check has the time of this machine's clock."""
    sandbox.fail(answer)
    clock = VirtualClock()
    with Hub([Account("main", vendor)], http=SandboxHttpClient(sandbox), clock=clock) as hub:
        assert clock.utc() == hub.tax().check_vat_number(number).checked_at


def test_messages_name_what_is_wrong() -> None:
    """The errors name VIES's code, HMRC's field, or the missing option."""
    vies, hmrc = ViesSandbox(), HmrcSandbox()
    vies.fail(tax_subjects.vies_error("INVALID_INPUT"), reply({"actionSucceed": False}))
    hmrc.fail(tax_subjects.hmrc_answer("553557882"))
    vendors = [
        Account("vies", Vies(), settings={"retry": None}),
        Account("hmrc", Hmrc(client_id=hmrc.client_id, client_secret=hmrc.client_secret)),
    ]
    routes = [Route("tax", ["vies", "hmrc"])]
    with Hub(vendors, routes, http=SandboxHttpClient(vies, hmrc)) as hub:
        for text, number in (
            ("VIES refused: INVALID_INPUT", "FR40303265045"),
            ("VIES refused: the check did not succeed", "FR40303265045"),
            ("has no target.vatNumber equal to", "GB553557881"),
        ):
            with pytest.raises(ConnectorError, match=text):
                hub.tax().check_vat_number(number)
    with pytest.raises(ConfigurationError) as excinfo:
        Hmrc(client_id="c")
    assert "client_secret" == excinfo.value.path


@pytest.mark.parametrize(
    "status, code, kind",
    [
        (200, "INVALID_INPUT", "InvalidRequest"),
        (200, "INVALID_REQUESTER_INFO", "InvalidRequest"),
        (200, "SERVICE_UNAVAILABLE", "VendorFailed"),
        (400, "SERVICE_UNAVAILABLE", "VendorFailed"),
        (400, "MS_UNAVAILABLE", "VendorFailed"),
        (400, "TIMEOUT", "VendorFailed"),
        (400, "VAT_BLOCKED", "AuthenticationFailed"),
        (400, "IP_BLOCKED", "AuthenticationFailed"),
        (400, "GLOBAL_MAX_CONCURRENT_REQ", "RateLimitExceeded"),
        (400, "GLOBAL_MAX_CONCURRENT_REQ_TIME", "RateLimitExceeded"),
        (400, "MS_MAX_CONCURRENT_REQ", "RateLimitExceeded"),
        (400, "MS_MAX_CONCURRENT_REQ_TIME", "RateLimitExceeded"),
        (400, "A_NEW_WORD", "InvalidRequest"),
        (403, "A_NEW_WORD", "AuthenticationFailed"),
        (429, "A_NEW_WORD", "RateLimitExceeded"),
        (404, "A_NEW_WORD", "VendorRejected"),
        (500, "A_NEW_WORD", "VendorFailed"),
    ],
)
def test_code_of_vies_has_an_error_class(status: int, code: str, kind: str) -> None:
    """Each known error code of VIES has its class of error; for any other, the status decides."""
    answer = reply({"actionSucceed": False, "errorWrappers": [{"error": code}]}, status)

    assert kind == type(classify(Request.post("/check-vat-number"), answer)).__name__
