"""Conversion of HubSpot's responses and webhooks to values of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.crm import (
    COMPANY,
    DEAL,
    NOTE,
    PERSON,
    CrmChange,
    CrmCompanyRecord,
    CrmEvent,
    CrmPersonRecord,
    CrmReceipt,
    CrmRecordKind,
    DealRecord,
    DealState,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.vendor_sdk import Answer, ConnectorError, MakeRef, Ref, Request, Response

OBJECTS: Final = {PERSON: "contacts", COMPANY: "companies", DEAL: "deals", NOTE: "notes"}
"""HubSpot's word in paths for each type of record."""

_MULTI_STATUS: Final = 207
_CATEGORIES: Final[Mapping[str, type[Any]]] = {
    "CONFLICT": sdk.AlreadyExists,
    "RATE_LIMITS": sdk.RateLimitExceeded,
    "VALIDATION_ERROR": sdk.InvalidRequest,
}
_RECORDS: Final = {
    "contact": CrmRecordKind.PERSON,
    "company": CrmRecordKind.COMPANY,
    "deal": CrmRecordKind.DEAL,
}
_CHANGES: Final = {
    **sdk.words(CrmChange.CREATED, "creation restore"),
    **sdk.words(CrmChange.UPDATED, "propertyChange associationChange merge"),
    **sdk.words(CrmChange.DELETED, "deletion privacyDeletion"),
}


def _code_and_words(answer: Answer) -> tuple[str | None, str | None]:
    code = answer.text("policyName") or answer.text("category")
    return code, sdk.masked_words(answer.text("message"))


def _error_words(response: Response) -> tuple[str | None, str | None]:
    return _code_and_words(sdk.error_answer(response))


_REFUSALS: Final = sdk.Refusals(
    vendor="HubSpot",
    statuses={
        **sdk.error_statuses("400 413 414 415", login="401 403"),
        409: sdk.AlreadyExists,
        423: sdk.RateLimitExceeded,
    },
    read=_error_words,
)


def classify(request: Request, response: Response) -> ConnectorError | None:
    """Return the error for a response; also for the errors within a response of status 207."""
    if response.status != _MULTI_STATUS:
        return _REFUSALS(request, response)
    problem = next(sdk.error_answer(response).objects("errors"), None)
    if problem is None:
        return None
    code, words = _code_and_words(problem)
    kind = _CATEGORIES.get(code or "", sdk.VendorRejected)
    return sdk.refusal(kind, "HubSpot", response, code, words)


def read_saved(ref: MakeRef, kind: str, response: Response) -> CrmReceipt:
    """The receipt in the response to an upsert of one record."""
    results = sdk.required_objects(sdk.read_answer(response), "results", response)
    if len(results) != 1:
        raise sdk.malformed(response, "results")
    return _receipt(ref, kind, results[0], response, created=results[0].flag("new"))


def read_created(ref: MakeRef, kind: str, response: Response) -> CrmReceipt:
    """The receipt in the response to the creation of one record."""
    return _receipt(ref, kind, sdk.read_answer(response), response, created=True)


def read_changed(ref: MakeRef, kind: str, response: Response) -> CrmReceipt:
    """The receipt in the response to the change of one record."""
    return _receipt(ref, kind, sdk.read_answer(response), response, created=False)


def _receipt(
    ref: MakeRef, kind: str, answer: Answer, response: Response, *, created: bool | None
) -> CrmReceipt:
    id_ = sdk.required(answer.text("id"), response, "id")
    return CrmReceipt(ref=ref(id_, type=kind), created=created, raw=answer.raw)


def person_of(ref: MakeRef, answer: Answer, response: Response, reference: str) -> CrmPersonRecord:
    """Convert a contact to a person; `reference` names the property with your own id."""
    id_, properties = _parts(answer, response)
    return CrmPersonRecord(
        ref=ref(id_, type=PERSON),
        given_name=properties.text("firstname"),
        family_name=properties.text("lastname"),
        reference=properties.text(reference),
        email=properties.text("email"),
        phone=properties.text("phone"),
        title=properties.text("jobtitle"),
        companies=_links(ref, answer, COMPANY),
        raw=answer.raw,
    )


def company_of(
    ref: MakeRef, answer: Answer, response: Response, reference: str
) -> CrmCompanyRecord:
    """Convert a company; `reference` names the property with your own id."""
    id_, properties = _parts(answer, response)
    return CrmCompanyRecord(
        ref=ref(id_, type=COMPANY),
        name=properties.text("name"),
        reference=properties.text(reference),
        website=properties.text("website"),
        phone=properties.text("phone"),
        raw=answer.raw,
    )


def deal_of(
    ref: MakeRef, answer: Answer, response: Response, reference: str, currency: str | None
) -> DealRecord:
    """Convert a deal.

    Args:
        ref: makes references.
        answer: the deal.
        response: the response with the deal.
        reference: name of the property with your own id.
        currency: the account's only currency; None if each deal states its currency.
    """
    id_, properties = _parts(answer, response)
    closes_at = properties.time("closedate")
    deal_currency = properties.text("deal_currency_code") if currency is None else currency
    return DealRecord(
        ref=ref(id_, type=DEAL),
        name=properties.text("dealname"),
        reference=properties.text(reference),
        stage=properties.text("dealstage"),
        state=_state(properties),
        closes_on=None if closes_at is None else closes_at.date(),
        amount=sdk.as_money(properties.value("amount"), deal_currency),
        companies=_links(ref, answer, COMPANY),
        people=_links(ref, answer, PERSON),
        raw=answer.raw,
    )


def _parts(answer: Answer, response: Response) -> tuple[str, Answer]:
    id_ = sdk.required(answer.text("id"), response, "id")
    if not sdk.is_object(answer.value("properties")):
        raise sdk.malformed(response, "properties")
    return id_, answer.object("properties")


def _links(ref: MakeRef, answer: Answer, kind: str) -> tuple[Ref, ...]:
    """The linked records of a type; a record may be listed once for each label of its link."""
    items = answer.objects(f"associations.{OBJECTS[kind]}.results")
    ids = dict.fromkeys(id_ for item in items if (id_ := item.text("id")) is not None)
    return tuple(ref(id_, type=kind) for id_ in ids)


def _state(properties: Answer) -> DealState:
    if properties.flag("hs_is_closed_won"):
        return DealState.WON
    is_closed = properties.flag("hs_is_closed")
    if is_closed is None:
        return DealState.UNKNOWN
    return DealState.LOST if is_closed else DealState.OPEN


def read_page(response: Response) -> tuple[list[Answer], str | None]:
    """The records on a page of a list, and the cursor of the next page."""
    answer = sdk.read_answer(response)
    return sdk.required_objects(answer, "results", response), answer.text("paging.next.after")


def read_events(event: sdk.WebhookEvent, ref: MakeRef) -> tuple[CrmEvent, ...]:
    """The change in a webhook; empty for other objects than people, companies and deals."""
    fields = sdk.as_answer(event.payload)
    vendor_type = fields.text("subscriptionType") or ""
    object_type, _, word = vendor_type.partition(".")
    record, id_ = _RECORDS.get(object_type), fields.text("objectId")
    if record is None or id_ is None:
        return ()
    return (
        CrmEvent(
            id=event.id,
            ref=ref(id_, type=record.value),
            record=record,
            change=_CHANGES.get(word, CrmChange.UNKNOWN),
            vendor_type=vendor_type,
            at=event.time,
            raw=fields.raw,
        ),
    )
