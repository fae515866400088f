"""Test subjects of all CRM vendors, with values from their documentation."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.crm import CrmNote, CrmPersonQuery, DealState
from moorage.contracts.ref import Ref
from moorage.domain.values.money import Money
from moorage.errors import (
    AlreadyExists,
    AuthenticationFailed,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.crm_conformance import CrmSubject
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandbox_scenarios.crm import ada, harbour, offer, paid
from moorage.testing.sandboxes.base import reply
from moorage.vendors.crm.hubspot import HubSpot

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.http.requests import Response

PERSON: Final = Ref("hubspot", "hubspot", "51", {"type": "person"})
COMPANY: Final = Ref("hubspot", "hubspot", "52", {"type": "company"})
DEAL: Final = Ref("hubspot", "hubspot", "53", {"type": "deal"})
EXTRA: Final = {"hubspot": {"lifecyclestage": "lead"}, "another": {"x": "y"}}
NOTED_AT: Final = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
_TIMES: Final = {"createdAt": "2031-05-06T07:08:09.123Z", "updatedAt": "2031-05-06T07:08:09.123Z"}


def hubspot_error(status: int, category: str, **fields: Any) -> Response:
    """Return an error response in the format of HubSpot."""
    body = {"status": "error", "message": "Refused.", "category": category, "correlationId": "c-1"}
    return reply({**body, **fields}, status)


def limit_error(policy: str) -> Response:
    """Return HubSpot's error response to too many requests."""
    body = {
        "status": "error",
        "message": "You have reached your ten_secondly_rolling limit.",
        "errorType": "RATE_LIMIT",
        "correlationId": "c-1",
        "policyName": policy,
    }
    return reply(body, 429)


def multi_status(category: str | None) -> Response:
    """Return HubSpot's response to a batch with an error."""
    problem = {"status": "error", "message": "Refused.", "context": {}, "links": {}, "errors": []}
    if category is not None:
        problem["category"] = category
    errors = [problem]
    return reply({"status": "COMPLETE", "results": [], "numErrors": 1, "errors": errors}, 207)


def record(id_: str, /, **properties: str | None) -> dict[str, Any]:
    """Return a record as HubSpot writes it."""
    return {"id": id_, "properties": properties, **_TIMES, "archived": False}


def hubspot() -> CrmSubject:
    """Return a HubSpot test subject with a new sandbox."""
    return CrmSubject(
        kind=HubSpot,
        fixture=fixture_of("hubspot", Path()),
        refusals=(
            (hubspot_error(400, "VALIDATION_ERROR"), InvalidRequest, "VALIDATION_ERROR"),
            (
                hubspot_error(401, "INVALID_AUTHENTICATION"),
                AuthenticationFailed,
                "INVALID_AUTHENTICATION",
            ),
            (hubspot_error(403, "MISSING_SCOPES"), AuthenticationFailed, "MISSING_SCOPES"),
            (hubspot_error(404, "OBJECT_NOT_FOUND"), VendorRejected, "OBJECT_NOT_FOUND"),
            (hubspot_error(409, "CONFLICT"), AlreadyExists, "CONFLICT"),
            (hubspot_error(413, "TOO_LARGE"), InvalidRequest, "TOO_LARGE"),
            (hubspot_error(414, "TOO_LONG"), InvalidRequest, "TOO_LONG"),
            (hubspot_error(415, "MEDIA_TYPE"), InvalidRequest, "MEDIA_TYPE"),
            (hubspot_error(423, "LOCKED"), RateLimitExceeded, "LOCKED"),
            (limit_error("TEN_SECONDLY_ROLLING"), RateLimitExceeded, "TEN_SECONDLY_ROLLING"),
            (limit_error("DAILY"), RateLimitExceeded, "DAILY"),
            (hubspot_error(429, "RATE_LIMITS"), RateLimitExceeded, "RATE_LIMITS"),
            (hubspot_error(418, "ANOTHER"), VendorRejected, "ANOTHER"),
            (multi_status("CONFLICT"), AlreadyExists, "CONFLICT"),
            (multi_status("VALIDATION_ERROR"), InvalidRequest, "VALIDATION_ERROR"),
            (multi_status("RATE_LIMITS"), RateLimitExceeded, "RATE_LIMITS"),
            (multi_status("ANOTHER"), VendorRejected, "ANOTHER"),
            (multi_status(None), VendorRejected, None),
        ),
        requests=(
            (
                "save_person",
                (
                    ada(
                        phone="+49 431 1",
                        title="Analyst",
                        extra=EXTRA,
                    ),
                ),
                {
                    "inputs.0.id": "C-1815",
                    "inputs.0.idProperty": "erp_number",
                    "inputs.0.properties": {
                        "firstname": "Ada",
                        "lastname": "Lovelace",
                        "email": "ada@example.com",
                        "phone": "+49 431 1",
                        "jobtitle": "Analyst",
                        "erp_number": "C-1815",
                        "lifecyclestage": "lead",
                    },
                },
            ),
            (
                "save_person",
                (ada(reference=None, given_name=None),),
                {
                    "inputs.0.id": "ada@example.com",
                    "inputs.0.idProperty": "email",
                    "inputs.0.properties": {"lastname": "Lovelace", "email": "ada@example.com"},
                },
            ),
            (
                "save_company",
                (harbour(website="harbour.example", phone="+49 431 2"),),
                {
                    "inputs.0.id": "C-1042",
                    "inputs.0.idProperty": "erp_number",
                    "inputs.0.properties": {
                        "name": "Harbour Ltd",
                        "website": "harbour.example",
                        "phone": "+49 431 2",
                        "erp_number": "C-1042",
                    },
                },
            ),
            (
                "save_deal",
                (offer("closedwon"),),
                {
                    "inputs.0.id": "O-7",
                    "inputs.0.idProperty": "erp_number",
                    "inputs.0.properties": {
                        "dealname": "100 buoys",
                        "dealstage": "closedwon",
                        "closedate": "2031-06-30T00:00:00.000Z",
                        "amount": "1499.90",
                        "deal_currency_code": "EUR",
                        "erp_number": "O-7",
                    },
                },
            ),
            ("move_deal", ("deal", "closedlost"), {"properties": {"dealstage": "closedlost"}}),
            *(
                (
                    "add_note",
                    (target, CrmNote(text="1 < 2\nPaid.", at=NOTED_AT)),
                    {
                        "properties": {
                            "hs_timestamp": "2031-05-06T07:08:09.000+00:00",
                            "hs_note_body": "1 &lt; 2<br>Paid.",
                        },
                        "associations.0.types": [
                            {
                                "associationCategory": "HUBSPOT_DEFINED",
                                "associationTypeId": number,
                            }
                        ],
                    },
                )
                for target, number in (("person", 202), ("company", 190), ("deal", 214))
            ),
        ),
        answers=(
            (
                "get_person",
                (PERSON,),
                reply(
                    {
                        **record(
                            "51",
                            firstname="Ada",
                            lastname="Lovelace",
                            email="ada@example.com",
                            phone="+49 431 1",
                            jobtitle="Analyst",
                            erp_number="C-1815",
                        ),
                        "associations": {
                            "companies": {
                                "results": [
                                    {"id": "52", "type": "contact_to_company"},
                                    {"id": "52", "type": "contact_to_company_unlabeled"},
                                    {"type": "contact_to_company"},
                                ]
                            }
                        },
                    }
                ),
                {
                    "ref": PERSON,
                    "given_name": "Ada",
                    "family_name": "Lovelace",
                    "email": "ada@example.com",
                    "phone": "+49 431 1",
                    "title": "Analyst",
                    "reference": "C-1815",
                    "companies": (COMPANY,),
                },
            ),
            (
                "get_person",
                (PERSON,),
                reply(record("51", firstname=None)),
                {"given_name": None, "email": None, "companies": ()},
            ),
            (
                "get_company",
                (COMPANY,),
                reply(
                    record(
                        "52",
                        name="Harbour Ltd",
                        website="harbour.example",
                        phone="+49 431 2",
                        erp_number="C-1042",
                    )
                ),
                {
                    "ref": COMPANY,
                    "name": "Harbour Ltd",
                    "website": "harbour.example",
                    "phone": "+49 431 2",
                    "reference": "C-1042",
                },
            ),
            (
                "get_deal",
                (DEAL,),
                reply(
                    {
                        **record(
                            "53",
                            dealname="100 buoys",
                            dealstage="closedwon",
                            closedate="2031-06-30T10:00:00Z",
                            amount="1499.9",
                            deal_currency_code="EUR",
                            hs_is_closed="true",
                            hs_is_closed_won="true",
                            erp_number="O-7",
                        ),
                        "associations": {
                            "companies": {"results": [{"id": "52", "type": "deal_to_company"}]},
                            "contacts": {"results": [{"id": "51", "type": "deal_to_contact"}]},
                        },
                    }
                ),
                {
                    "ref": DEAL,
                    "name": "100 buoys",
                    "reference": "O-7",
                    "stage": "closedwon",
                    "state": DealState.WON,
                    "closes_on": date(2031, 6, 30),
                    "amount": Money("1499.90", "EUR"),
                    "companies": (COMPANY,),
                    "people": (PERSON,),
                },
            ),
            (
                "get_deal",
                (DEAL,),
                reply(record("53", hs_is_closed="true", hs_is_closed_won="false", amount="1")),
                {"state": DealState.LOST, "amount": None, "closes_on": None},
            ),
            (
                "get_deal",
                (DEAL,),
                reply(record("53", hs_is_closed="false", deal_currency_code="EUR", amount=None)),
                {"state": DealState.OPEN, "amount": None},
            ),
            ("get_deal", (DEAL,), reply(record("53")), {"state": DealState.UNKNOWN}),
            (
                "save_company",
                (harbour(),),
                reply({"status": "COMPLETE", "results": [{**record("52"), "new": True}]}),
                {"ref": COMPANY, "created": True},
            ),
            (
                "save_company",
                (harbour(),),
                reply({"status": "COMPLETE", "results": [{**record("52"), "new": False}]}),
                {"ref": COMPANY, "created": False},
            ),
            (
                "save_company",
                (harbour(),),
                reply({"status": "COMPLETE", "results": [record("52")]}),
                {"created": None},
            ),
            (
                "add_note",
                (COMPANY, paid()),
                reply(record("54"), 201),
                {"ref": Ref("hubspot", "hubspot", "54", {"type": "note"}), "created": True},
            ),
        ),
        unreadable=(
            ("save_person", (ada(),), reply({"status": "COMPLETE", "results": []})),
            ("save_person", (ada(),), reply({"results": [record("1"), record("2")]})),
            ("save_person", (ada(),), reply({"status": "PENDING"}, 202)),
            ("save_person", (ada(),), reply({"results": [{"properties": {}}]})),
            ("save_person", (ada(),), reply({"results": [], "numErrors": 1}, 207)),
            ("get_person", (PERSON,), reply({"properties": {}})),
            ("get_person", (PERSON,), reply({"id": "51"})),
            ("find_people", (), reply({"total": 0})),
            ("find_people", (CrmPersonQuery(email="a@example.com"),), reply({})),
            ("find_people", (), reply({"results": [{"id": "51"}]})),
            ("move_deal", (DEAL, "closedwon"), reply({})),
            ("add_note", (COMPANY, paid()), reply({}, 201)),
        ),
    )


SUBJECTS: Final[list[Callable[[], CrmSubject]]] = [hubspot]
