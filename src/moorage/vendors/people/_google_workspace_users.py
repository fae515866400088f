"""Conversion of Google's users, groups and members to values of the contract, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.people import Group, Member, MemberKind, PeopleQuery, Person, Phone
from moorage.vendors.people._common import merged_entries, phone_kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.vendor_sdk import Answer, ConnectorError, MakeRef, Request, Response

_MANAGER: Final = "manager"
_OWN_ID: Final = "organization"
"""Google's type of an external id that means the employee id."""
_PREFERRED: Final = "preferred"
_REASONS: Final[Mapping[str, type[Any]]] = {
    **dict.fromkeys(
        ("rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "dailyLimitExceeded"),
        sdk.RateLimitExceeded,
    ),
    "duplicate": sdk.AlreadyExists,
}
_STATUSES: Final[Mapping[int, type[Any]]] = {
    400: sdk.InvalidRequest,
    **dict.fromkeys((401, 403), sdk.AuthenticationFailed),
    412: sdk.ChangedMeanwhile,
    429: sdk.RateLimitExceeded,
}
_MEMBER_KINDS: Final = {"USER": MemberKind.PERSON, "GROUP": MemberKind.GROUP}
_FILTERS: Final = {"user_name": "email", "email": "email", "external_id": "externalId"}
LISTS: Final = sdk.word_set("emails phones title department manager external_id language")
"""The fields that are entries of a list; the other entries must be read first, so that a change
keeps them.
"""


def classify(_: Request, response: Response) -> ConnectorError | None:
    """Return the error for an error response, by its reason and status."""
    status = response.status
    if status < 400 or status >= 500 or status == 408:
        return None
    answer = sdk.error_answer(response)
    reason = answer.text("error.errors.0.reason")
    kind = _REASONS.get(reason or "") or _STATUSES.get(status, sdk.VendorRejected)
    words = sdk.masked_words(answer.text("error.message"))
    return sdk.refusal(
        kind, "Google", response, reason, words, otherwise=reason or f"HTTP {status}"
    )


def check_changed(response: Response) -> None:
    """Check the response to a change: the response must contain the user or member.

    Raises:
        VendorFailed: the response is neither, such as the empty object of a proxy.
    """
    answer = sdk.read_answer(response)
    sdk.required(answer.text("id") or answer.text("email"), response, "id")


def entries_of(answer: Answer, name: str, response: Response) -> list[Answer]:
    """The entries of a list; Google leaves an empty list out, but always names the list's kind.

    Raises:
        VendorFailed: the response is not a list of this kind, such as the empty object of a proxy.
    """
    if answer.text("kind") != f"admin#directory#{name}":
        raise sdk.malformed(response, f"kind admin#directory#{name}")
    return sdk.required_objects(answer, name, response) if name in answer.raw else []


def query_of(query: PeopleQuery) -> str | None:
    """The search text for a query, with quoted values; None if it matches everybody."""
    conditions = [
        f"{field}={_quoted_text(value)}"
        for name, field in _FILTERS.items()
        if (value := getattr(query, name)) is not None
    ]
    return " ".join(conditions) or None


def _quoted_text(text: str) -> str:
    escaped_text = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped_text}'"


def user_body(
    values: Mapping[str, Any], current: Mapping[str, Any], manager: str | None
) -> dict[str, Any]:
    """The request fields for a change of a user; the user's other list entries are kept.

    Args:
        values: new value of each named field, None or empty for a field to empty.
        current: the user in the directory, empty for a new one.
        manager: email address of the manager, if one is named.
    """
    body: dict[str, Any] = {}
    if "user_name" in values:
        body["primaryEmail"] = values["user_name"]
    names = {
        "given_name": "givenName",
        "family_name": "familyName",
        "display_name": "displayName",
    }
    changed_names = {names[name]: values[name] for name in names if name in values}
    if changed_names:
        body["name"] = changed_names
    if "active" in values:
        body["suspended"] = not values["active"]
    if "emails" in values:
        primary = values.get("user_name") or current.get("primaryEmail")
        body["emails"] = _emails(values["emails"], primary, current.get("emails"))
    if "phones" in values:
        body["phones"] = _phones(values["phones"], current.get("phones"))
    if {"title", "department"} & values.keys():
        body["organizations"] = _organizations(values, _objects(current, "organizations"))
    if "manager" in values:
        entry = None if manager is None else {"value": manager, "type": _MANAGER}
        body["relations"] = _with_replaced(entry, _objects(current, "relations"), _MANAGER)
    if "external_id" in values:
        external_id = values["external_id"]
        entry = None if external_id is None else {"value": external_id, "type": _OWN_ID}
        body["externalIds"] = _with_replaced(entry, _objects(current, "externalIds"), _OWN_ID)
    if "language" in values:
        body["languages"] = _languages(values["language"], _objects(current, "languages"))
    # An empty list is sent as null, which empties the field.
    return {name: value if value != [] else None for name, value in body.items()}


def _objects(current: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    return [dict(item.raw) for item in sdk.as_answer(current).objects(name)]


def _emails(addresses: Sequence[str], primary: str | None, current: Any) -> list[dict[str, Any]]:
    """The addresses without the primary one, which Google adds itself."""
    primary_name = (primary or "").casefold()
    addresses_to_keep = [{"address": item} for item in addresses if item.casefold() != primary_name]
    return [
        {"type": "work", **entry} if "customType" not in entry else entry
        for entry in merged_entries(current, addresses_to_keep, "address")
    ]


def _phones(phones: Sequence[Phone], current: Any) -> list[dict[str, Any]]:
    entries = merged_entries(current, [{"value": phone.number} for phone in phones], "value")
    return [
        entry
        if "type" in entry and phone_kind(entry["type"]) is phone.kind
        else {**entry, "type": phone.kind.value}
        for entry, phone in zip(entries, phones, strict=True)
    ]


def _organizations(
    values: Mapping[str, Any], organizations: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The user's organizations, with a new title or department in the primary one."""
    number = next(
        (index for index, item in enumerate(organizations) if item.get("primary") is True), 0
    )
    if not organizations:
        organizations = [{"primary": True, "type": "work"}]
    entry = organizations[number]
    for name in {"title", "department"} & values.keys():
        entry.pop(name, None)
        if values[name] is not None:
            entry[name] = values[name]
    return organizations


def _with_replaced(
    entry: dict[str, Any] | None, current: list[dict[str, Any]], type_: str
) -> list[dict[str, Any]]:
    """A list in which this entry replaces all entries of its type."""
    other_entries = [item for item in current if item.get("type") != type_]
    return other_entries if entry is None else [entry, *other_entries]


def _languages(language: str | None, current: list[dict[str, Any]]) -> list[dict[str, Any]]:
    other_entries = [
        item
        for item in current
        if item.get("preference") != _PREFERRED and item.get("languageCode") != language
    ]
    if language is None:
        return other_entries
    return [{"languageCode": language, "preference": _PREFERRED}, *other_entries]


def read_user(ref: MakeRef, response: Response) -> Person:
    """The person in a response about one user."""
    return user_of(ref, sdk.read_answer(response), response)


def user_of(ref: MakeRef, answer: Answer, response: Response) -> Person:
    """Convert a user of Google to a person."""
    id_ = sdk.required(answer.text("id"), response, "id")
    user_name = sdk.required(answer.text("primaryEmail"), response, "primaryEmail")
    suspended = answer.flag("suspended")
    addresses = [item.text("address") for item in answer.objects("emails")]
    other_addresses = [
        item for item in addresses if item and item.casefold() != user_name.casefold()
    ]
    organizations = list(answer.objects("organizations"))
    organization = next(
        (item for item in organizations if item.flag("primary") is True),
        organizations[0] if organizations else sdk.as_answer(None),
    )
    manager = _marked_value(answer, "relations", "type", _MANAGER, "value")
    return Person(
        ref=ref(id_),
        user_name=user_name,
        active=None if suspended is None else not suspended,
        given_name=answer.text("name.givenName"),
        family_name=answer.text("name.familyName"),
        display_name=answer.text("name.displayName") or answer.text("name.fullName"),
        emails=(user_name, *other_addresses),
        phones=tuple(
            Phone(number, phone_kind(item.text("type")))
            for item in answer.objects("phones")
            if (number := item.text("value")) and number.strip()
        ),
        title=organization.text("title"),
        department=organization.text("department"),
        manager=None if manager is None else ref(manager),
        external_id=_marked_value(answer, "externalIds", "type", _OWN_ID, "value"),
        language=_marked_value(answer, "languages", "preference", _PREFERRED, "languageCode"),
        raw=answer.raw,
    )


def _marked_value(answer: Answer, name: str, mark: str, mark_value: str, value: str) -> str | None:
    """The value of a list's first entry whose field `mark` contains `mark_value`."""
    entries = (item.text(value) for item in answer.objects(name) if item.text(mark) == mark_value)
    return next((item for item in entries if item), None)


def group_of(ref: MakeRef, answer: Answer, response: Response) -> Group:
    """Convert a list entry to a group."""
    id_ = sdk.required(answer.text("id"), response, "id")
    return Group(ref=ref(id_), name=answer.text("name"), email=answer.text("email"), raw=answer.raw)


def member_of(ref: MakeRef, answer: Answer) -> Member | None:
    """The member in a list entry; None if it has no id, such as the whole domain."""
    id_ = answer.text("id")
    if id_ is None:
        return None
    kind = _MEMBER_KINDS.get(answer.text("type") or "", MemberKind.UNKNOWN)
    return Member(ref=ref(id_), kind=kind, raw=answer.raw)
