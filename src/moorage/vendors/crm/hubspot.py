"""HubSpot: contacts, companies, deals and notes, by version 3 of the CRM objects API.

HubSpot takes no idempotency keys. People, companies and deals are saved by upsert, which has no
further effect when it is repeated. A note that may have been added is not sent again.
"""

from __future__ import annotations

from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.crm import (
    COMPANY,
    DEAL,
    NOTE,
    PERSON,
    CrmCapability,
    CrmCompanyPage,
    CrmPersonPage,
)
from moorage.vendors.crm import _hubspot_answers as answers
from moorage.vendors.crm._common import check_link, check_named_type, found_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from moorage.contracts.crm import (
        CrmCompany,
        CrmCompanyQuery,
        CrmCompanyRecord,
        CrmEvent,
        CrmNote,
        CrmPerson,
        CrmPersonQuery,
        CrmPersonRecord,
        CrmReceipt,
        Deal,
        DealRecord,
    )
    from moorage.vendor_sdk import MakeRef, Ref, Request, Response, WebhookEvent, Wire

_OBJECTS: Final = "/crm/v3/objects"
_PAGE: Final = 100
_EMAIL: Final = "email"
_PROPERTIES: Final = {
    PERSON: ("firstname", "lastname", _EMAIL, "phone", "jobtitle"),
    COMPANY: ("name", "website", "phone"),
    DEAL: (
        "dealname",
        "dealstage",
        "closedate",
        "amount",
        "deal_currency_code",
        "hs_is_closed",
        "hs_is_closed_won",
    ),
}
_LINKED: Final = {PERSON: "companies", DEAL: "companies,contacts"}
_NOTE_LINKS: Final = {PERSON: 202, COMPANY: 190, DEAL: 214}
"""HubSpot's types of the links from a note to each type of record."""


@attrs.frozen(kw_only=True)
class HubSpot(sdk.ApiVendor):
    """A HubSpot account.

    Attributes:
        credentials: access token of a private app; by default the credential provider supplies
            `Credentials`.
        reference_property: internal name of the property with unique values that holds your own id
            of contacts, companies and deals.
        pipeline: id of the pipeline of new deals; by default HubSpot chooses it.
        currency: the account's only currency; None if the account has several currencies, so that
            each deal states its own.
        base_url: URL of HubSpot.
    """

    name = "hubspot"
    kinds = ("crm",)
    api_version = "v3"
    capabilities = frozenset(CrmCapability)
    limits: ClassVar[Mapping[str, int]] = {"note": 65_536}
    webhook = "hubspot"

    refusals = staticmethod(answers.classify)
    ping_path = f"{_OBJECTS}/contacts"
    ping_query: ClassVar[Mapping[str, Any]] = {"limit": "1"}

    reference_property: str = attrs.field(
        validator=sdk.matches(
            "[a-z][a-z0-9_]{0,99}",
            problem="The value is not the internal name of a property.",
            remedy="Copy the internal name of the property from HubSpot's settings, such as"
            " erp_number.",
        )
    )
    pipeline: str | None = None
    currency: str | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(
            sdk.one_of(
                *sdk.EXPONENTS,
                problem="The value is not a currency.",
                remedy="Set an ISO 4217 code in capitals, such as EUR.",
            )
        ),
    )
    base_url: str = "https://api.hubapi.com"

    async def save_person(self, wire: Wire, person: CrmPerson, /, *, key: str | None) -> CrmReceipt:
        """Upsert a contact by your own id or by its email address, and link its company."""
        check_link(wire, self.name, person.company, COMPANY)
        properties = {
            "firstname": person.given_name,
            "lastname": person.family_name,
            _EMAIL: person.email,
            "phone": person.phone,
            "jobtitle": person.title,
        }
        receipt = await self._save(
            wire, PERSON, person.reference or person.email, properties, person, key=key
        )
        await _link(wire, PERSON, receipt.ref, COMPANY, person.company)
        return receipt

    async def get_person(self, wire: Wire, ref: Ref, /) -> CrmPersonRecord:
        """Get a contact with its companies."""
        return self._person(wire, await wire.send(self._reading(PERSON, ref.id)))

    async def find_people(
        self, wire: Wire, query: CrmPersonQuery, after: Ref | None, /
    ) -> CrmPersonPage:
        """Get the contact with an id of yours or an email address, or list contacts."""
        if value := query.reference or query.email:
            id_property = _EMAIL if query.reference is None else self.reference_property
            request = self._reading(PERSON, value, id_property)
            response = await found_or_none(wire.send(request))
            return CrmPersonPage(items=() if response is None else (self._person(wire, response),))
        response = await wire.send(self._listing(PERSON, after))
        entries, cursor = answers.read_page(response)
        return CrmPersonPage(
            items=tuple(
                answers.person_of(wire.ref, item, response, self.reference_property)
                for item in entries
            ),
            next=None if cursor is None else wire.ref(cursor),
        )

    async def save_company(
        self, wire: Wire, company: CrmCompany, /, *, key: str | None
    ) -> CrmReceipt:
        """Upsert a company by your own id."""
        properties = {
            "name": company.name,
            "website": company.website,
            "phone": company.phone,
        }
        return await self._save(wire, COMPANY, company.reference, properties, company, key=key)

    async def get_company(self, wire: Wire, ref: Ref, /) -> CrmCompanyRecord:
        """Get a company."""
        return self._company(wire, await wire.send(self._reading(COMPANY, ref.id)))

    async def find_companies(
        self, wire: Wire, query: CrmCompanyQuery, after: Ref | None, /
    ) -> CrmCompanyPage:
        """Get the company with an id of yours, search for a name, or list companies."""
        if query.reference is not None:
            request = self._reading(COMPANY, query.reference, self.reference_property)
            answer = await found_or_none(wire.send(request))
            return CrmCompanyPage(items=() if answer is None else (self._company(wire, answer),))
        if query.name is None:
            response = await wire.send(self._listing(COMPANY, after))
        else:
            response = await wire.send(self._search(query.name, after), reads=True)
        entries, cursor = answers.read_page(response)
        return CrmCompanyPage(
            items=tuple(
                answers.company_of(wire.ref, item, response, self.reference_property)
                for item in entries
            ),
            next=None if cursor is None else wire.ref(cursor),
        )

    async def save_deal(self, wire: Wire, deal: Deal, /, *, key: str | None) -> CrmReceipt:
        """Upsert a deal by your own id, and link its company and person."""
        check_link(wire, self.name, deal.company, COMPANY)
        check_link(wire, self.name, deal.person, PERSON)
        properties = {
            "dealname": deal.name,
            "dealstage": deal.stage,
            "pipeline": self.pipeline,
            "closedate": _midnight(deal.closes_on),
            **self._amount(deal.amount),
        }
        receipt = await self._save(wire, DEAL, deal.reference, properties, deal, key=key)
        await _link(wire, DEAL, receipt.ref, COMPANY, deal.company)
        await _link(wire, DEAL, receipt.ref, PERSON, deal.person)
        return receipt

    async def get_deal(self, wire: Wire, ref: Ref, /) -> DealRecord:
        """Get a deal with its companies and contacts."""
        response = await wire.send(self._reading(DEAL, ref.id))
        return answers.deal_of(
            wire.ref,
            sdk.read_answer(response),
            response,
            self.reference_property,
            self.currency,
        )

    async def move_deal(self, wire: Wire, ref: Ref, stage: str, /) -> CrmReceipt:
        """Change the stage of a deal."""
        body = {"properties": {"dealstage": stage}}
        request = sdk.Request.patch(_path(DEAL, ref.id), json=body)
        response = await wire.send(request.evolve(idempotent=True))
        return answers.read_changed(wire.ref, DEAL, response)

    async def add_note(
        self, wire: Wire, ref: Ref, note: CrmNote, /, *, key: str | None
    ) -> CrmReceipt:
        """Create a note with its link to a record, in one request."""
        kind = check_named_type(ref)
        properties = {
            "hs_timestamp": note.at.isoformat(timespec="milliseconds"),
            "hs_note_body": escape(note.text, quote=False).replace("\n", "<br>"),
        }
        link = {
            "to": {"id": ref.id},
            "types": [
                {
                    "associationCategory": "HUBSPOT_DEFINED",
                    "associationTypeId": _NOTE_LINKS[kind],
                }
            ],
        }
        body = {
            "properties": sdk.merged(properties, sdk.extra_for(self.name, note.extra)),
            "associations": [link],
        }
        return await wire.send(
            sdk.Request.post(f"{_OBJECTS}/notes", json=body),
            key=key,
            parse=partial(answers.read_created, wire.ref, NOTE),
        )

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[CrmEvent, ...]:
        """The change of a contact, a company or a deal; empty for other webhooks."""
        return answers.read_events(event, ref)

    async def _save(
        self,
        wire: Wire,
        kind: str,
        id_: str | None,
        properties: Mapping[str, str | None],
        record: CrmPerson | CrmCompany | Deal,
        *,
        key: str | None,
    ) -> CrmReceipt:
        id_property = _EMAIL if record.reference is None else self.reference_property
        named_properties = {
            **{name: value for name, value in properties.items() if value is not None},
            id_property: id_,
        }
        entry = {
            "id": id_,
            "idProperty": id_property,
            "properties": sdk.merged(named_properties, sdk.extra_for(self.name, record.extra)),
        }
        path = f"{_OBJECTS}/{answers.OBJECTS[kind]}/batch/upsert"
        request = sdk.Request.post(path, json={"inputs": [entry]})
        return await wire.send(
            request.evolve(idempotent=True),
            key=key,
            parse=partial(answers.read_saved, wire.ref, kind),
        )

    def _amount(self, amount: sdk.Money | None) -> dict[str, str | None]:
        if amount is None:
            return {}
        if self.currency is None:
            return {"amount": str(amount.amount), "deal_currency_code": amount.currency}
        if amount.currency != self.currency:
            raise sdk.InvalidData(
                f"The deal is in {amount.currency}, but the only currency of the HubSpot account is"
                f" {self.currency}.",
                field="amount",
                remedy="Convert the amount, or add the currency in HubSpot and remove the option"
                " `currency` from the account.",
            )
        return {"amount": str(amount.amount)}

    def _reading(self, kind: str, id_: str, id_property: str | None = None) -> Request:
        query = {"properties": ",".join(self._property_names(kind))}
        if kind in _LINKED:
            query["associations"] = _LINKED[kind]
        if id_property is not None:
            query["idProperty"] = id_property
        return sdk.Request.get(_path(kind, id_), query=query)

    def _listing(self, kind: str, after: Ref | None) -> Request:
        query = {"limit": str(_PAGE), "properties": ",".join(self._property_names(kind))}
        if kind in _LINKED:
            query["associations"] = _LINKED[kind]
        if after is not None:
            query["after"] = after.id
        return sdk.Request.get(f"{_OBJECTS}/{answers.OBJECTS[kind]}", query=query)

    def _search(self, name: str, after: Ref | None) -> Request:
        body: dict[str, Any] = {
            "filterGroups": [
                {"filters": [{"propertyName": "name", "operator": "EQ", "value": name}]}
            ],
            "properties": self._property_names(COMPANY),
            "sorts": ["hs_object_id"],
            "limit": _PAGE,
        }
        if after is not None:
            body["after"] = after.id
        request = sdk.Request.post(f"{_OBJECTS}/companies/search", json=body)
        return request.evolve(idempotent=True)

    def _property_names(self, kind: str) -> list[str]:
        return [*_PROPERTIES[kind], self.reference_property]

    def _person(self, wire: Wire, response: Response) -> CrmPersonRecord:
        return answers.person_of(
            wire.ref, sdk.read_answer(response), response, self.reference_property
        )

    def _company(self, wire: Wire, response: Response) -> CrmCompanyRecord:
        return answers.company_of(
            wire.ref, sdk.read_answer(response), response, self.reference_property
        )


async def _link(wire: Wire, kind: str, ref: Ref, other_kind: str, other: Ref | None) -> None:
    """Link two records; a link that exists already stays."""
    if other is None:
        return
    from_type, to_type = answers.OBJECTS[kind], answers.OBJECTS[other_kind]
    path = (
        f"/crm/v4/objects/{from_type}/{quote(ref.id, safe='')}/associations/default/{to_type}"
        f"/{quote(other.id, safe='')}"
    )
    await wire.send(sdk.Request.put(path), parse=sdk.check_done)


def _midnight(day: date) -> str:
    return f"{day.isoformat()}T00:00:00.000Z"


def _path(kind: str, id_: str) -> str:
    return f"{_OBJECTS}/{answers.OBJECTS[kind]}/{quote(id_, safe='')}"
