"""A local sandbox that imitates the CRM objects, associations and webhooks of HubSpot."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import unquote

from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, words
from moorage.testing.sandboxes.crm.base import CrmSandbox, StoredRecord
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.webhook_signatures import base64_hmac

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from moorage.domain.http.requests import Response

REFERENCE: Final = "erp_number"
"""The property with unique values that the sandbox's account has."""

_OBJECTS: Final = "/crm/v3/objects"
_TIME: Final = "2031-05-06T07:08:09.123Z"
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(?:Z|[+-]\d\d:\d\d)")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
_TEXT: Final = re.compile(r"(?s).*")
_TAG: Final = re.compile("</?[a-z][^>]*>")
_CURRENCY: Final = re.compile("EUR|USD|JPY|KWD")
_OPEN, _WON, _LOST = "qualifiedtobuy", "closedwon", "closedlost"
_STAGE: Final = re.compile(f"appointmentscheduled|{_OPEN}|{_WON}|{_LOST}")
_ADDRESS: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_FORMS: Final[Mapping[str, Mapping[str, re.Pattern[str]]]] = {
    "contacts": {
        **dict.fromkeys(
            ("firstname", "lastname", "phone", "jobtitle", "lifecyclestage", REFERENCE), _TEXT
        ),
        "email": _ADDRESS,
    },
    "companies": dict.fromkeys(("name", "website", "phone", "industry", REFERENCE), _TEXT),
    "deals": {
        **dict.fromkeys(("dealname", "description", REFERENCE), _TEXT),
        "dealstage": _STAGE,
        "pipeline": re.compile("default"),
        "closedate": _MOMENT,
        "amount": _NUMBER,
        "deal_currency_code": _CURRENCY,
    },
    "notes": {
        "hs_timestamp": _MOMENT,
        "hs_note_body": _TEXT,
        "hubspot_owner_id": re.compile(r"\d+"),
    },
}
"""The properties of each type of object that a caller may write, with the form of their values."""

_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "contacts": (),
    "companies": (),
    "deals": ("dealname", "dealstage"),
    "notes": ("hs_timestamp",),
}
_TYPES: Final = {"person": "contacts", "company": "companies", "deal": "deals", "note": "notes"}
_NOTE_LINKS: Final = {202: "contacts", 190: "companies", 214: "deals"}
_SINGULAR: Final = {"contacts": "contact", "companies": "company", "deals": "deal", "notes": "note"}
_INPUT: Final[Any] = {"properties!": dict}
_UPSERT: Final[Any] = {
    "inputs!": [
        {"id!": str, "idProperty": str, "properties!": dict, "objectWriteTraceId": str},
    ]
}
_CREATION: Final[Any] = {
    **_INPUT,
    "associations": [
        {
            "to!": {"id!": str},
            "types!": [
                {
                    "associationCategory!": words(
                        "HUBSPOT_DEFINED USER_DEFINED INTEGRATOR_DEFINED"
                    ),
                    "associationTypeId!": int,
                }
            ],
        }
    ],
}
_SEARCH: Final[Any] = {
    "filterGroups": [
        {
            "filters!": [
                {
                    "propertyName!": str,
                    "operator!": words("EQ NEQ GT GTE LT LTE HAS_PROPERTY CONTAINS_TOKEN"),
                    "value": str,
                }
            ]
        }
    ],
    "properties": [str],
    "sorts": [str],
    "limit": int,
    "after": str,
    "query": str,
}


class HubSpotSandbox(CrmSandbox):
    """A sandbox of HubSpot: one account with several currencies and the pipeline "default".

    Attributes:
        token: access token of the private app.
        client_secret: secret of the app, which signs webhooks.
        largest_page: number of entries that a page has at most.
        objects: all records, by id; each has its `type` and `properties`.
        links: the associations, as pairs of ids, in order of creation.
    """

    hosts = ("api.hubapi.com",)
    stages: ClassVar[tuple[str, str, str]] = (_OPEN, _WON, _LOST)

    token: str = "pat-na1-for-the-hubspot-sandbox-only"
    client_secret: str = "hubspot-sandbox-client-secret"
    largest_page: int = 100
    objects: dict[str, dict[str, Any]] = base.state_field(dict)
    links: dict[tuple[str, str], None] = base.state_field(dict)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            f"GET {_OBJECTS}/{{kind}}": self._list,
            f"POST {_OBJECTS}/{{kind}}": self._create,
            f"POST {_OBJECTS}/{{kind}}/batch/upsert": self._upsert,
            f"POST {_OBJECTS}/{{kind}}/search": self._search,
            f"GET {_OBJECTS}/{{kind}}/{{id}}": self._get,
            f"PATCH {_OBJECTS}/{{kind}}/{{id}}": self._update,
            "PUT /crm/v4/objects/{kind}/{id}/associations/default/{other_kind}/{other_id}": (
                self._associate
            ),
        }

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the access token of a request."""
        if request.bearer() != self.token:
            message = "Authentication credentials not found."
            raise _error(401, "INVALID_AUTHENTICATION", message)

    def unknown(self, request: base.SandboxRequest) -> Response:
        """Return the response to a request that matches no route."""
        return _error(404, "OBJECT_NOT_FOUND", f"There is no {request.path}.").response

    def unreadable(self, problem: str) -> Response:
        """Return the response to a request that cannot be read."""
        return _error(400, "VALIDATION_ERROR", problem).response

    def records(self, type_: str) -> Sequence[StoredRecord]:
        """Return the stored records of a type, in order of creation."""
        return [
            StoredRecord(
                id=id_,
                type=type_,
                reference=record["properties"].get(REFERENCE),
                links=self._linked(id_),
                text=_shown(record["properties"].get("hs_note_body")),
            )
            for id_, record in self.objects.items()
            if record["type"] == _TYPES[type_]
        ]

    def change(
        self,
        id_: str,
        word: str = "propertyChange",
        *,
        url: str = "https://erp.example/hooks/crm",
        at: datetime | None = None,
    ) -> base.Notice:
        """Send the webhook for a change of a record.

        Args:
            id_: id of the record.
            word: HubSpot's word for the change, such as "creation".
            url: address of the application.
            at: time of the change; by default the current time.
        """
        object_type = _SINGULAR[self.objects[id_]["type"]]
        stamp = int(base.moment(at).timestamp() * 1_000)
        event = {
            "eventId": self.number(),
            "subscriptionId": 71,
            "portalId": 6_217_701,
            "appId": 1_160_452,
            "occurredAt": stamp,
            "subscriptionType": f"{object_type}.{word}",
            "attemptNumber": 0,
            "objectId": int(id_),
            "changeSource": "CRM",
        }
        body = encode_json([event])
        signed_text = f"POST{unquote(url)}{body.decode()}{stamp}"
        signature = base64_hmac(self.client_secret.encode(), signed_text.encode())
        headers = {
            "Content-Type": "application/json",
            "X-HubSpot-Request-Timestamp": str(stamp),
            "X-HubSpot-Signature-v3": signature,
        }
        return self.notify(url, body, headers)

    def _upsert(self, request: base.SandboxRequest, *, kind: str) -> Response:
        body = _checked(_UPSERT, request)
        self._check_type(kind)
        results: list[dict[str, Any]] = []
        for entry in body["inputs"]:
            name = entry.get("idProperty", "hs_object_id")
            if name not in _unique(kind):
                message = f"Unable to perform update/upsert by non-unique {kind} property"
                raise _error(400, "VALIDATION_ERROR", message)
            # The property decides about the record, and the id about its value.
            properties = {**entry["properties"], name: entry["id"]}
            id_ = self._find(kind, name, entry["id"])
            is_new = id_ is None
            if id_ is None:
                self._check_properties(kind, properties, is_new=True)
                id_ = self._add(kind, properties)
            else:
                self._change_properties(id_, properties)
            results.append({**self._shown_object(id_), "new": is_new})
        times = {"startedAt": _TIME, "completedAt": _TIME}
        return base.reply({"status": "COMPLETE", "results": results, **times})

    def _create(self, request: base.SandboxRequest, *, kind: str) -> Response:
        body = _checked(_CREATION, request)
        self._check_type(kind)
        self._check_properties(kind, body["properties"], is_new=True)
        links: list[str] = []
        for link in body.get("associations", []):
            for spec in link["types"]:
                linked_type = _NOTE_LINKS.get(spec["associationTypeId"])
                record = self.objects.get(link["to"]["id"])
                if record is None:
                    raise _missing()
                if kind != "notes" or record["type"] != linked_type:
                    message = "One or more associations are not valid."
                    raise _error(400, "VALIDATION_ERROR", message)
                links.append(link["to"]["id"])
        id_ = self._add(kind, body["properties"])
        for other_id in links:
            self.links[id_, other_id] = None
        return base.reply(self._shown_object(id_), 201)

    def _get(self, request: base.SandboxRequest, *, kind: str, id: str) -> Response:
        query = dict(request.query)
        self._check_type(kind)
        if set(query) - {"properties", "associations", "idProperty", "archived"}:
            raise _error(400, "VALIDATION_ERROR", "A query parameter is unknown.")
        name = query.get("idProperty", "hs_object_id")
        if name not in _unique(kind):
            raise _error(400, "VALIDATION_ERROR", f"{name} is not a unique property.")
        found_id = self._find(kind, name, id)
        if found_id is None:
            raise _missing()
        return base.reply(self._shown_object(found_id, query))

    def _update(self, request: base.SandboxRequest, *, kind: str, id: str) -> Response:
        body = _checked(_INPUT, request)
        found_id = self._find(kind, "hs_object_id", id)
        if found_id is None:
            raise _missing()
        self._change_properties(found_id, body["properties"])
        return base.reply(self._shown_object(found_id))

    def _list(self, request: base.SandboxRequest, *, kind: str) -> Response:
        query = dict(request.query)
        self._check_type(kind)
        if set(query) - {"limit", "after", "properties", "associations", "archived"}:
            raise _error(400, "VALIDATION_ERROR", "A query parameter is unknown.")
        ids = [id_ for id_, record in self.objects.items() if record["type"] == kind]
        items = [self._shown_object(id_, query) for id_ in ids]
        return base.reply(self._page(items, int(query.get("limit", "10")), query.get("after")))

    def _search(self, request: base.SandboxRequest, *, kind: str) -> Response:
        body = _checked(_SEARCH, request)
        self._check_type(kind)
        limit = body.get("limit", 10)
        if limit > 200:
            raise _error(400, "VALIDATION_ERROR", "The limit must be at most 200.")
        query = {"properties": ",".join(body.get("properties", []))}
        items = [
            self._shown_object(id_, query)
            for id_, record in self.objects.items()
            if record["type"] == kind and _fulfils(record["properties"], body)
        ]
        page = self._page(items, limit, body.get("after"))
        return base.reply({**page, "total": len(items)})

    def _associate(
        self, _: base.SandboxRequest, *, kind: str, id: str, other_kind: str, other_id: str
    ) -> Response:
        for name, number in ((kind, id), (other_kind, other_id)):
            self._check_type(name)
            if self._find(name, "hs_object_id", number) is None:
                raise _missing()
        self.links[id, other_id] = None
        result = {
            "from": {"id": id},
            "to": {"id": other_id},
            "associationSpec": {
                "associationCategory": "HUBSPOT_DEFINED",
                "associationTypeId": 5 if kind == "deals" else 279,
            },
        }
        times = {"startedAt": _TIME, "completedAt": _TIME}
        return base.reply({"status": "COMPLETE", "results": [result], **times})

    def _page(self, items: list[dict[str, Any]], limit: int, after: str | None) -> dict[str, Any]:
        start = int(after or "0")
        size = min(limit, self.largest_page)
        page: dict[str, Any] = {"results": items[start : start + size]}
        if start + size < len(items):
            page["paging"] = {"next": {"after": str(start + size)}}
        return page

    def _check_type(self, type_: str) -> None:
        if type_ not in _FORMS:
            raise _error(400, "VALIDATION_ERROR", f"Unable to infer object type from: {type_}")

    def _check_properties(
        self, type_: str, properties: dict[str, Any], id_: str | None = None, *, is_new: bool
    ) -> None:
        forms = _FORMS[type_]
        for name, value in properties.items():
            is_valid = name in forms and isinstance(value, str)
            if not is_valid or (value and forms[name].fullmatch(value) is None):
                message = f"Property values were not valid: {name}"
                raise _error(400, "VALIDATION_ERROR", message)
        if len(properties.get("hs_note_body", "")) > 65_536:
            raise _error(400, "VALIDATION_ERROR", "The note is too long.")
        missing_names = [name for name in _REQUIRED[type_] if not properties.get(name)]
        if is_new and missing_names:
            raise _error(400, "VALIDATION_ERROR", f"Required: {', '.join(missing_names)}")
        for name in _unique(type_) & properties.keys():
            other_id = self._find(type_, name, properties[name])
            if other_id not in (None, id_):
                message = f"Contact already exists. Existing ID: {other_id}"
                raise _error(409, "CONFLICT", message)

    def _add(self, type_: str, properties: dict[str, Any]) -> str:
        id_ = str(50_000_000_000 + self.number())
        self.objects[id_] = {"type": type_, "properties": dict(properties)}
        return id_

    def _change_properties(self, id_: str, properties: dict[str, Any]) -> None:
        record = self.objects[id_]
        self._check_properties(record["type"], properties, id_, is_new=False)
        record["properties"] |= properties

    def _find(self, type_: str, name: str, value: str) -> str | None:
        for id_, record in self.objects.items():
            stored = id_ if name == "hs_object_id" else record["properties"].get(name)
            if record["type"] == type_ and (stored or "").casefold() == value.casefold():
                return id_
        return None

    def _linked(self, id_: str) -> tuple[str, ...]:
        return tuple(
            second if first == id_ else first
            for first, second in self.links
            if id_ in (first, second)
        )

    def _shown_object(self, id_: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        record = self.objects[id_]
        properties: dict[str, str | None] = {
            **dict.fromkeys(_FORMS[record["type"]]),
            **{name: value or None for name, value in record["properties"].items()},
            "hs_object_id": id_,
        }
        if record["type"] == "deals":
            stage = properties["dealstage"]
            properties |= {
                "hs_is_closed": "true" if stage in (_WON, _LOST) else "false",
                "hs_is_closed_won": "true" if stage == _WON else "false",
            }
        names = [] if query is None else query.get("properties", "").split(",")
        shown: dict[str, Any] = {
            "id": id_,
            "properties": {
                name: properties.get(name)
                for name in sorted({"hs_object_id", *filter(None, names)})
            },
            "createdAt": _TIME,
            "updatedAt": _TIME,
            "archived": False,
        }
        linked_types = "" if query is None else query.get("associations", "")
        associations = {
            type_: {
                "results": [
                    {"id": other, "type": f"{_SINGULAR[record['type']]}_to_{_SINGULAR[type_]}"}
                    for other in self._linked(id_)
                    if self.objects[other]["type"] == type_
                ]
            }
            for type_ in filter(None, linked_types.split(","))
        }
        associations = {type_: entry for type_, entry in associations.items() if entry["results"]}
        return {**shown, "associations": associations} if associations else shown


def _unique(type_: str) -> frozenset[str]:
    names = {"hs_object_id", REFERENCE, *(("email",) if type_ == "contacts" else ())}
    return frozenset(names)


def _fulfils(properties: Mapping[str, str], body: dict[str, Any]) -> bool:
    for group in body.get("filterGroups", []):
        for condition in group["filters"]:
            if condition["operator"] != "EQ":
                raise _error(400, "VALIDATION_ERROR", "This sandbox only compares for equality.")
            stored = properties.get(condition["propertyName"]) or ""
            if stored.casefold() != condition["value"].casefold():
                return False
    return True


def _shown(body: str | None) -> str | None:
    """Return the text of a note, which HubSpot shows as HTML."""
    return None if body is None else unescape(_TAG.sub("", body.replace("<br>", "\n")))


def _checked(shape: Any, request: base.SandboxRequest) -> Any:
    body = request.json()
    for at, name, problem in problems(shape, body):
        raise _error(400, "VALIDATION_ERROR", f"Invalid input JSON: {at}/{name} is {problem}.")
    return body


def _missing() -> base.Refusal:
    return _error(404, "OBJECT_NOT_FOUND", "Object not found. objectId is usually the ID.")


def _error(status: int, category: str, message: str) -> base.Refusal:
    error = {
        "status": "error",
        "message": message,
        "correlationId": "aeb5f871-7f07-4993-9211-075dc63e7cbf",
        "category": category,
    }
    return base.refusal(error, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = HubSpotSandbox()
    options = {"credentials": sandbox.token, "reference_property": REFERENCE}
    return SandboxFixture(sandbox=sandbox, options=options)


__all__ = ["REFERENCE", "HubSpotSandbox", "fixture"]
