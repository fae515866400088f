"""HubSpot in details that the conformance kit does not cover."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
import pytest

from moorage import (
    ConfigurationError,
    Hub,
    InvalidData,
    Money,
    OutcomeUnknown,
    WebhookVerifier,
)
from moorage.contracts.crm import CrmChange, CrmCompanyQuery, CrmPersonQuery, CrmRecordKind
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.domain.http.requests import Response
from moorage.errors import VendorRejected
from moorage.testing.sandbox_scenarios.crm import ada, harbour, offer, paid
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient
from moorage.testing.sandboxes.crm.hubspot import REFERENCE, HubSpotSandbox
from moorage.vendors.crm.hubspot import HubSpot

if TYPE_CHECKING:
    from collections.abc import Generator


def hub_of(sandbox: HubSpotSandbox, **options: Any) -> Hub:
    """Return a hub with an account at a sandbox."""
    vendor = HubSpot(credentials=sandbox.token, reference_property=REFERENCE, **options)
    return Hub([Account("sales", vendor)], http=SandboxHttpClient(sandbox))


@pytest.fixture(name="sandbox")
def _sandbox() -> HubSpotSandbox:
    return HubSpotSandbox()


@pytest.fixture(name="hub")
def _hub(sandbox: HubSpotSandbox) -> Generator[Hub]:
    with hub_of(sandbox) as hub:
        yield hub


def test_person_is_saved_over_a_real_connection(sandbox: HubSpotSandbox) -> None:
    """A person is saved once for each key over a real connection, with the token as a bearer."""
    with sandbox.serving() as server:
        vendor = HubSpot(
            credentials=sandbox.token, reference_property=REFERENCE, base_url=server.url
        )
        with Hub([Account("sales", vendor)]) as hub:
            receipts = [hub.crm().save_person(ada(), idempotency_key="k-1") for _ in range(2)]

    (request,) = sandbox.requests
    assert [False, True] == [receipt.replayed for receipt in receipts]
    assert f"Bearer {sandbox.token}" == request.headers["authorization"]
    assert "/crm/v3/objects/contacts/batch/upsert" == request.path


def test_only_currency_of_an_account_is_not_sent(sandbox: HubSpotSandbox) -> None:
    """An account with one currency sends no currency, and reads amounts in this currency."""
    with hub_of(sandbox, currency="EUR") as hub:
        receipt = hub.crm().save_deal(offer("qualifiedtobuy"))
        deal = hub.crm().get_deal(receipt.ref)

    properties = sandbox.requests[0].json()["inputs"][0]["properties"]
    assert "1499.90" == properties["amount"]
    assert "deal_currency_code" not in properties
    assert Money("1499.90", "EUR") == deal.amount


def test_deal_in_another_currency_is_refused_before_sending(sandbox: HubSpotSandbox) -> None:
    """An account with one currency refuses a deal in another one before anything is sent."""
    with hub_of(sandbox, currency="EUR") as hub, pytest.raises(InvalidData, match="USD") as excinfo:
        hub.crm().save_deal(offer("qualifiedtobuy", amount=Money(1, "USD")))

    assert "amount" == excinfo.value.field
    assert [] == sandbox.requests


def test_deal_is_in_the_pipeline_of_the_account(sandbox: HubSpotSandbox) -> None:
    """The option `pipeline` is sent with each deal; without it, HubSpot chooses the pipeline."""
    with hub_of(sandbox, pipeline="default") as hub:
        hub.crm().save_deal(offer("qualifiedtobuy"))
    with hub_of(sandbox) as hub:
        hub.crm().save_deal(offer("qualifiedtobuy"))

    first, second = [
        request.json()["inputs"][0]["properties"].get("pipeline") for request in sandbox.requests
    ]
    assert ("default", None) == (first, second)


@pytest.mark.parametrize(
    "options", [{"reference_property": "ERP Number"}, {"currency": "Euro"}, {"currency": "eur"}]
)
def test_invalid_options_are_refused(options: dict[str, str]) -> None:
    """An option with a value that HubSpot cannot know is refused when the account is created."""
    with pytest.raises(ConfigurationError):
        HubSpot(**{"credentials": "t", "reference_property": "erp_number", **options})


def test_link_that_fails_is_made_by_a_repeat(sandbox: HubSpotSandbox, hub: Hub) -> None:
    """If a link is refused, a repeat with the same key makes the link and saves nothing again."""
    crm = hub.crm()
    company = crm.save_company(harbour())
    sandbox.fail(None, Response(404, {"Content-Type": "application/json"}, b'{"message": "No."}'))
    person = ada(company=company.ref)

    with pytest.raises(VendorRejected):
        crm.save_person(person, idempotency_key="k-1")
    receipt = crm.save_person(person, idempotency_key="k-1")

    assert (company.ref,) == crm.get_person(receipt.ref).companies
    methods = [request.method for request in sandbox.requests]
    assert ["POST", "POST", "PUT", "PUT", "GET"] == methods


def test_lost_note_stays_unknown(sandbox: HubSpotSandbox, hub: Hub) -> None:
    """A note whose response was lost is not sent again, with a key or in a retry."""
    ref = hub.crm().save_company(harbour()).ref
    sandbox.fail(Lost())

    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            hub.crm().add_note(ref, paid(), idempotency_key="k-1")

    assert 1 == len(sandbox.records("note"))
    assert 2 == len(sandbox.requests)


def test_note_needs_the_type_of_its_record(sandbox: HubSpotSandbox, hub: Hub) -> None:
    """A reference without a type is refused for a note, because the link depends on the type."""
    with pytest.raises(InvalidData, match="type"):
        hub.crm().add_note(Ref("hubspot", "sales", "1"), paid())

    assert [] == sandbox.requests


def test_missing_page_of_a_proxy_is_no_missing_record(sandbox: HubSpotSandbox, hub: Hub) -> None:
    """A 404 without HubSpot's error, such as a proxy's page, raises an error in a search."""
    html = Response(404, {"Content-Type": "text/html"}, b"<p>Not found</p>")
    sandbox.fail(html, html)

    with pytest.raises(VendorRejected):
        hub.crm().find_people(CrmPersonQuery(reference="C-1"))
    with pytest.raises(VendorRejected):
        hub.crm().find_companies(CrmCompanyQuery(reference="C-1"))


def test_list_is_read_in_pages_of_a_hundred(sandbox: HubSpotSandbox, hub: Hub) -> None:
    """A list has 100 records on a page, and only the properties in use."""
    hub.crm().find_people()

    (request,) = sandbox.requests
    assert {
        "limit": "100",
        "properties": f"firstname,lastname,email,phone,jobtitle,{REFERENCE}",
        "associations": "companies",
    } == dict(request.query)


def test_search_is_sorted_and_exact(sandbox: HubSpotSandbox, hub: Hub) -> None:
    """A search by name compares the whole name, and has a stable order."""
    hub.crm().find_companies(CrmCompanyQuery(name="Harbour Ltd"))

    (request,) = sandbox.requests
    condition = {"propertyName": "name", "operator": "EQ", "value": "Harbour Ltd"}
    assert {
        "filterGroups": [{"filters": [condition]}],
        "properties": ["name", "website", "phone", REFERENCE],
        "sorts": ["hs_object_id"],
        "limit": 100,
    } == request.json()


@pytest.mark.parametrize(
    "word, change",
    [
        ("creation", CrmChange.CREATED),
        ("restore", CrmChange.CREATED),
        ("propertyChange", CrmChange.UPDATED),
        ("associationChange", CrmChange.UPDATED),
        ("merge", CrmChange.UPDATED),
        ("deletion", CrmChange.DELETED),
        ("privacyDeletion", CrmChange.DELETED),
        ("another", CrmChange.UNKNOWN),
    ],
)
def test_webhook_becomes_an_event(
    sandbox: HubSpotSandbox, hub: Hub, word: str, change: CrmChange
) -> None:
    """A signed webhook becomes an event with the reference of the record and its change."""
    receipts = {
        CrmRecordKind.PERSON: hub.crm().save_person(ada()),
        CrmRecordKind.COMPANY: hub.crm().save_company(harbour()),
        CrmRecordKind.DEAL: hub.crm().save_deal(offer("closedwon")),
    }
    verifier = WebhookVerifier("hubspot", secrets=[sandbox.client_secret])
    for kind, receipt in receipts.items():
        notice = sandbox.change(receipt.ref.id, word)
        (webhook,) = verifier.verify(**notice.arguments())
        (event,) = hub.events("sales", webhook)

        assert (receipt.ref, kind, change) == (event.ref, event.record, event.change)
        assert event.vendor_type is not None
        assert event.vendor_type.endswith(f".{word}")
        assert event.id == webhook.id
        assert event.at == webhook.time
        assert event.raw


def test_webhook_of_another_object_becomes_no_event(sandbox: HubSpotSandbox, hub: Hub) -> None:
    """A webhook about another object, or without an id, becomes no event."""
    receipt = hub.crm().save_company(harbour())
    verifier = WebhookVerifier("hubspot", secrets=[sandbox.client_secret])
    (webhook,) = verifier.verify(**sandbox.change(receipt.ref.id).arguments())

    for changed in ({"subscriptionType": "ticket.creation"}, {"objectId": None}):
        other = attrs.evolve(webhook, payload={**webhook.payload, **changed})
        assert () == hub.events("sales", other)


def test_address_of_the_sandbox_is_hubspots() -> None:
    """The sandbox has the host of the vendor's default address."""
    (field,) = [field for field in attrs.fields(HubSpot) if field.name == "base_url"]

    assert HubSpotSandbox.hosts == (urlsplit(str(field.default)).netloc,)
