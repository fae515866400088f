"""The attributes of people and groups (RFC 7643), and the checks of their values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import is_list, is_object
from moorage.scim.port import ScimKind
from moorage.scim.refusals import invalid_value

if TYPE_CHECKING:
    from collections.abc import Mapping

CORE: Final[Mapping[ScimKind, str]] = {
    kind: f"urn:ietf:params:scim:schemas:core:2.0:{kind}" for kind in ScimKind
}
ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
_NAME: Final = dict.fromkeys(
    (
        "formatted",
        "familyName",
        "givenName",
        "middleName",
        "honorificPrefix",
        "honorificSuffix",
    ),
    "string",
)
_ENTRY: Final = {
    **dict.fromkeys(("value", "display", "type", "$ref"), "string"),
    "primary": "boolean",
}
_ADDRESS: Final = {
    **dict.fromkeys(
        ("formatted", "streetAddress", "locality", "region", "postalCode", "country", "type"),
        "string",
    ),
    "primary": "boolean",
}
_EXTENSION: Final[Mapping[str, Any]] = {
    **dict.fromkeys(
        ("employeeNumber", "costCenter", "organization", "division", "department"), "string"
    ),
    "manager": {"value": "string", "$ref": "string", "displayName": "string"},
}
ATTRIBUTES: Final[Mapping[ScimKind, Mapping[str, Any]]] = {
    ScimKind.USER: {
        **dict.fromkeys(
            (
                "userName",
                "externalId",
                "displayName",
                "nickName",
                "profileUrl",
                "title",
                "userType",
                "preferredLanguage",
                "locale",
                "timezone",
                "password",
            ),
            "string",
        ),
        "active": "boolean",
        "name": _NAME,
        **{
            name: [_ENTRY]
            for name in ("emails", "phoneNumbers", "ims", "photos", "entitlements", "roles")
        },
        "addresses": [_ADDRESS],
        ENTERPRISE: _EXTENSION,
    },
    ScimKind.GROUP: {
        "displayName": "string",
        "externalId": "string",
        "members": [{"value": "string", "display": "string", "type": "string", "$ref": "string"}],
    },
}
"""The type of each attribute: a word, a table of its parts, or a list of such tables."""
REQUIRED: Final[Mapping[ScimKind, str]] = {
    ScimKind.USER: "userName",
    ScimKind.GROUP: "displayName",
}
READ_ONLY: Final = frozenset({"id", "meta", "schemas", "groups"})
_MAX_LENGTH: Final = 4_000


def canonical(names: Mapping[str, Any], name: str) -> str | None:
    """Return a name as spelled in a table, regardless of case; None if the table lacks it."""
    return next((spelling for spelling in names if spelling.lower() == name.lower()), None)


def checked_content(kind: ScimKind, body: Any, *, lenient: bool) -> dict[str, Any]:
    """Return the attributes of a resource in a request, after checks, without unsupported ones.

    Args:
        kind: kind of the resource.
        body: parsed body of the request.
        lenient: True to accept the texts "True" and "False" as booleans.

    Raises:
        ScimRefusal: a value has a wrong type, or the name of the resource is missing.
    """
    if not is_object(body):
        raise invalid_value("The resource is not a JSON object.")
    content: dict[str, Any] = {}
    for name, value in body.items():
        spelling = canonical(ATTRIBUTES[kind], name)
        if spelling is not None and value is not None:
            shape = ATTRIBUTES[kind][spelling]
            new_value = check_value(shape, value, spelling, lenient=lenient)
            if is_list(shape):
                check_one_primary(new_value)
                new_value = joined_entries(spelling, [], new_value)
            content[spelling] = new_value
    name = REQUIRED[kind]
    if not str(content.get(name, "")).strip():
        raise invalid_value(f"The attribute {name} is missing or empty.")
    return content


def check_one_primary(entries: list[Any]) -> None:
    """Refuse a list with several primary entries.

    Raises:
        ScimRefusal: more than one entry is primary.
    """
    if sum(bool(entry.get("primary")) for entry in entries) > 1:
        raise invalid_value("Only one entry of a list can be primary.")


def joined_entries(name: str, entries: list[Any], new_entries: list[Any]) -> list[Any]:
    """Return the entries, followed by those new entries that are not duplicates."""
    keys = {_key_of(name, entry) for entry in entries}
    result = [*entries]
    for entry in new_entries:
        key = _key_of(name, entry)
        if key not in keys:
            keys.add(key)
            result.append(entry)
    return result


def _key_of(name: str, entry: Mapping[str, Any]) -> Any:
    """Return the parts by which an entry of an attribute is compared.

    One address may be a person's address at work and at home, but nobody is a member twice.
    """
    value = entry.get("value")
    if value is None:
        return tuple(sorted(entry.items()))
    return value if name == "members" else (value, entry.get("type"))


def check_value(shape: Any, value: Any, name: str, *, lenient: bool) -> Any:
    """Check an attribute's value, and return it without the parts that are not supported.

    Raises:
        ScimRefusal: the value has a wrong type.
    """
    if is_list(shape):
        entries = value if is_list(value) else [value]
        return [check_value(shape[0], entry, name, lenient=lenient) for entry in entries]
    if lenient:
        value = _unpacked_value(value)
    if is_object(shape):
        return _checked_parts(shape, value, name, lenient=lenient)
    if shape == "boolean":
        if isinstance(value, bool):
            return value
        words = {"true": True, "false": False}
        if lenient and isinstance(value, str) and value.lower() in words:
            return words[value.lower()]
        raise invalid_value(f"The attribute {name} is neither true nor false.")
    if not isinstance(value, str) or len(value) > _MAX_LENGTH or not is_storable(value):
        raise invalid_value(
            f"The attribute {name} is not a string of at most {_MAX_LENGTH} characters."
        )
    return value


def _unpacked_value(value: Any) -> Any:
    """Return the only entry of a list, because Entra sends a single value as a list."""
    if is_list(value) and len(value) == 1 and is_object(value[0]) and "value" in value[0]:
        return value[0]["value"]
    return value


def _checked_parts(
    shape: Mapping[str, Any], value: Any, name: str, *, lenient: bool
) -> dict[str, Any]:
    if isinstance(value, str) and "value" in shape:
        value = {"value": value}
    if not is_object(value):
        raise invalid_value(f"The attribute {name} is not an object.")
    parts: dict[str, Any] = {}
    for part, content in value.items():
        spelling = canonical(shape, part)
        if spelling is not None and content is not None:
            parts[spelling] = check_value(
                shape[spelling], content, f"{name}.{spelling}", lenient=lenient
            )
    return parts


def is_storable(text: str) -> bool:
    """Return whether every store accepts a text; texts with NUL or lone surrogates are refused."""
    return not any("\ud800" <= letter <= "\udfff" or letter == "\x00" for letter in text)
