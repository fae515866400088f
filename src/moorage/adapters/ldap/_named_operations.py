"""The operations of the LDAP connector by name, for example for the command line."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from moorage.domain.connectors.ldap_values import filter_of, plain_result, value_from_json
from moorage.domain.connectors.named_operation import NamedOperation
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ENTRY: Final = {"entry": "The name of the entry, such as uid=ada,ou=people,dc=example."}
_VALUES: Final = 'An object such as {"mail": ["ada@example.org"]}'
_WHERE: Final = 'The condition, such as {"equals": {"uid": "ada"}}; all entries by default.'
_REPEATABLE: Final = "true if performing it twice does no harm."

_OPERATIONS: Final[dict[str, tuple[str, dict[str, str], dict[str, str]]]] = {
    "search": (
        "Reads the entries that fulfil a condition.",
        {},
        {
            "where": _WHERE,
            "base": "The name of the entry below which to search.",
            "scope": '"subtree", "one" or "base".',
            "attributes": "The names of the attributes to read, as a list.",
            "limit": "The largest number of entries.",
            "pages": "false for servers that have no pages.",
        },
    ),
    "add": ("Adds an entry.", {**_ENTRY, "attributes": f"{_VALUES}."}, {}),
    "modify": (
        "Changes an entry as a whole.",
        _ENTRY,
        {
            "delete": f"{_VALUES} of values to delete; [] for a whole attribute.",
            "add": f"{_VALUES} of values to add.",
            "replace": f"{_VALUES} of values that replace all others.",
            "repeatable": _REPEATABLE,
        },
    ),
    "delete": ("Deletes an entry.", _ENTRY, {"repeatable": _REPEATABLE}),
    "rename": (
        "Renames an entry, and moves it if a parent is given.",
        {**_ENTRY, "new_name": "The first part of its new name, such as uid=grace."},
        {
            "parent": "The name of the entry below which it is moved.",
            "keep_old": "true if the entry keeps the value of its old name.",
        },
    ),
    "compare": (
        "Asks whether an attribute has a value.",
        {**_ENTRY, "attribute": "The name of the attribute.", "value": "The value."},
        {},
    ),
}
"""The operations: what each does, the arguments that it needs, and those that it takes."""

_POSITIONAL: Final[dict[str, tuple[str, ...]]] = {
    "search": ("where",),
    "add": ("entry", "attributes"),
    "modify": ("entry",),
    "delete": ("entry",),
    "rename": ("entry", "new_name"),
    "compare": ("entry", "attribute", "value"),
}
_TYPES: Final[dict[str, tuple[type[Any], str]]] = {
    **dict.fromkeys(("pages", "repeatable", "keep_old"), (bool, "true or false")),
    "limit": (int, "a number"),
}


class AnyLdapConnector(Protocol):
    """A connector whose methods make operations, synchronous or asynchronous."""

    name: str


def named_operations(connector: AnyLdapConnector) -> Mapping[str, NamedOperation]:
    """Return the operations of a connector, by name."""
    return {
        name: NamedOperation(
            name=name,
            about=about,
            arguments={**needed, **taken},
            required=frozenset(needed),
            build=partial(_build, name, getattr(connector, name)),
            render=plain_result if name == "search" else _unchanged,
        )
        for name, (about, needed, taken) in _OPERATIONS.items()
    }


def _unchanged(value: Any) -> Any:
    return value


def _build(operation: str, make: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    values = {name: _converted(name, value) for name, value in arguments.items()}
    positional = [values.pop(name) for name in _POSITIONAL[operation] if name in values]
    return make(*positional, **values)


def _converted(name: str, value: Any) -> Any:
    """Return an argument in the form of the connector's method."""
    if name == "where":
        return filter_of(value)
    if name in _TYPES:
        kind, words = _TYPES[name]
        if type(value) is not kind:
            raise _wrong(name, words)
        return value
    if name == "value":
        return value_from_json(value)
    if name in {"delete", "add", "replace"} or (name == "attributes" and is_object(value)):
        if not is_object(value):
            raise _wrong(name, "a JSON object")
        return {
            attribute: [value_from_json(item) for item in values]
            if is_list(values)
            else value_from_json(values)
            for attribute, values in value.items()
        }
    if name == "attributes" and not is_list(value):
        raise _wrong(name, "a list of names, or an object of values")
    return value


def _wrong(name: str, words: str) -> InvalidData:
    return InvalidData(
        f"The argument {name!r} has the wrong form.", field=name, remedy=f"Give {words}."
    )
