"""The operations of the LDAP connector by name, for example for the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.connectors.ldap_values import filter_of, plain_result, value_from_json
from moorage.domain.connectors.operation_forms import (
    OperationForm,
    check_type,
    operations_of,
    wrong_argument_error,
)
from moorage.domain.values.json_text import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.connectors.named_operation import NamedOperation

_ENTRY: Final = {"entry": "The DN of the entry, such as uid=ada,ou=people,dc=example."}
_VALUES: Final = 'An object such as {"mail": ["ada@example.org"]}'
_CONDITION_TEXT: Final = (
    'The condition, such as {"equals": {"uid": "ada"}}; all entries by default.'
)
_REPEATABLE_TEXT: Final = "true if repeating the operation is harmless."

_FORMS: Final[dict[str, OperationForm]] = {
    "search": OperationForm(
        about="Reads the entries that match a condition.",
        optional={
            "where": _CONDITION_TEXT,
            "base": "The DN of the entry below which to search.",
            "scope": '"subtree", "one" or "base".',
            "attributes": "The names of the attributes to read, as a list.",
            "limit": "The maximum number of entries.",
            "pages": "false for servers that do not support paged results.",
        },
        positional=("where",),
        render=plain_result,
    ),
    "add": OperationForm(
        about="Adds an entry.",
        required={**_ENTRY, "attributes": f"{_VALUES}."},
        positional=("entry", "attributes"),
    ),
    "modify": OperationForm(
        about="Makes several changes to an entry at once.",
        required=_ENTRY,
        optional={
            "delete": f"{_VALUES} with the values to delete; [] deletes the whole attribute.",
            "add": f"{_VALUES} with the values to add.",
            "replace": f"{_VALUES} with the values that replace all existing ones.",
            "repeatable": _REPEATABLE_TEXT,
        },
        positional=("entry",),
    ),
    "delete": OperationForm(
        about="Deletes an entry.",
        required=_ENTRY,
        optional={"repeatable": _REPEATABLE_TEXT},
        positional=("entry",),
    ),
    "rename": OperationForm(
        about="Renames an entry, and moves it if a new parent is passed.",
        required={**_ENTRY, "new_name": "The first part of the new DN, such as uid=grace."},
        optional={
            "parent": "The DN of the new parent entry.",
            "keep_old": "true to keep the attribute value of the old name.",
        },
        positional=("entry", "new_name"),
    ),
    "compare": OperationForm(
        about="Checks whether an attribute of an entry has a value.",
        required={**_ENTRY, "attribute": "The name of the attribute.", "value": "The value."},
        positional=("entry", "attribute", "value"),
    ),
}

_TYPES: Final[dict[str, tuple[type[Any], str]]] = {
    **dict.fromkeys(("pages", "repeatable", "keep_old"), (bool, "true or false")),
    "limit": (int, "a number"),
}


def named_operations(connector: Any) -> Mapping[str, NamedOperation]:
    """Return the operations of a connector, by name."""
    return operations_of(connector, _FORMS, _converted_argument)


def _converted_argument(name: str, value: Any) -> Any:
    """Convert an argument to the type that the connector's method accepts."""
    check_type(name, value, _TYPES)
    if name == "where":
        return filter_of(value)
    if name == "value":
        return value_from_json(value)
    if name in {"delete", "add", "replace"} or (name == "attributes" and is_object(value)):
        if not is_object(value):
            raise wrong_argument_error(name, "a JSON object")
        return {
            attribute: [value_from_json(item) for item in values]
            if is_list(values)
            else value_from_json(values)
            for attribute, values in value.items()
        }
    if name == "attributes" and not is_list(value):
        raise wrong_argument_error(name, "a list of names, or an object of values")
    return value
