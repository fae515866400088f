"""The resources, PATCH operations and filters of SCIM requests (RFC 7643 and 7644)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.vendor_sdk import encode_json, is_list, is_object
from moorage.vendors.people._common import merged_entries, phone_kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.contracts.people import PeopleQuery, Phone

USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
_PATCH: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

_PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    "user_name": ("userName",),
    "given_name": ("name", "givenName"),
    "family_name": ("name", "familyName"),
    "display_name": ("displayName",),
    "emails": ("emails",),
    "phones": ("phoneNumbers",),
    "title": ("title",),
    "department": (ENTERPRISE, "department"),
    "manager": (ENTERPRISE, "manager"),
    "external_id": ("externalId",),
    "language": ("preferredLanguage",),
    "time_zone": ("timezone",),
    "active": ("active",),
}
LISTS: Final = frozenset({"emails", "phones"})
"""The fields that are entries of a list; the other entries must be read first, so that a change
keeps them.
"""
_FILTERS: Final = {"user_name": "userName", "email": "emails.value", "external_id": "externalId"}


def quoted(text: str) -> str:
    """A string as a filter value, which is a JSON string."""
    return encode_json(text).decode()


def filter_of(query: PeopleQuery) -> str | None:
    """The filter for a query; None if it matches everybody."""
    conditions = [
        f"{path} eq {quoted(value)}"
        for name, path in _FILTERS.items()
        if (value := getattr(query, name)) is not None
    ]
    return " and ".join(conditions) or None


def patch_body(operations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The body of a PATCH request with these operations."""
    return {"schemas": [_PATCH], "Operations": list(operations)}


def operations_of(values: Mapping[str, Any], current: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The PATCH operations that set or empty the named fields.

    Args:
        values: new value of each named field, None or empty for a field to empty.
        current: the resource in the directory, if a named field is a list.
    """
    return [
        _operation(name, _encoded_value(name, value, current)) for name, value in values.items()
    ]


def _operation(name: str, value: Any) -> Mapping[str, Any]:
    *parents, last = _PATHS[name]
    separator = ":" if parents == [ENTERPRISE] else "."
    path = separator.join([*parents, last])
    if value in (None, []):
        return {"op": "remove", "path": path}
    return {"op": "replace", "path": path, "value": value}


def resource(values: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """A resource with new values in the named fields, and its other fields unchanged.

    Args:
        values: new value of each named field, None or empty for a field to empty.
        current: the resource in the directory, empty for a new one.
    """
    result = dict(current)
    for name, value in values.items():
        *parents, last = _PATHS[name]
        target = result
        if parents:
            inner = result.get(parents[0])
            target = result[parents[0]] = dict(inner) if is_object(inner) else {}
        encoded = _encoded_value(name, value, current)
        if encoded in (None, []):
            target.pop(last, None)
        else:
            target[last] = encoded
    stated_schemas = current.get("schemas")
    schemas = [*stated_schemas] if is_list(stated_schemas) else [USER]
    if result.get(ENTERPRISE) and ENTERPRISE not in schemas:
        schemas.append(ENTERPRISE)
    return {**result, "schemas": schemas}


def _encoded_value(name: str, value: Any, current: Mapping[str, Any]) -> Any:
    if name == "emails":
        return _emails(value, current.get("emails"))
    if name == "phones":
        return _phones(value, current.get("phoneNumbers"))
    return {"value": value.id} if name == "manager" and value is not None else value


def _emails(addresses: Sequence[str], current: Any) -> list[dict[str, Any]]:
    new_entries = [
        {"value": address, "primary": number == 0} for number, address in enumerate(addresses)
    ]
    return [{"type": "work", **entry} for entry in merged_entries(current, new_entries, "value")]


def _phones(phones: Sequence[Phone], current: Any) -> list[dict[str, Any]]:
    new_entries = [{"value": phone.number} for phone in phones]
    entries = merged_entries(current, new_entries, "value")
    return [
        entry
        if "type" in entry and phone_kind(entry["type"]) is phone.kind
        else {**entry, "type": phone.kind.value}
        for entry, phone in zip(entries, phones, strict=True)
    ]
