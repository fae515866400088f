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

_ENTRY: Final = {"entry": "The name of the entry, such as uid=ada,ou=people,dc=example."}
_VALUES: Final = 'An object such as {"mail": ["ada@example.org"]}'
_WHERE: Final = 'The condition, such as {"equals": {"uid": "ada"}}; all entries by default.'
_REPEATABLE: Final = "true if performing it twice does no harm."

_FORMS: Final[dict[str, OperationForm]] = {
    "search": OperationForm(
        about="Reads the entries that fulfil a condition.",
        optional={
            "where": _WHERE,
            "base": "The name of the entry below which to search.",
            "scope": '"subtree", "one" or "base".',
            "attributes": "The names of the attributes to read, as a list.",
            "limit": "The largest number of entries.",
            "pages": "false for servers that have no pages.",
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
        about="Changes an entry as a whole.",
        required=_ENTRY,
        optional={
            "delete": f"{_VALUES} of values to delete; [] for a whole attribute.",
            "add": f"{_VALUES} of values to add.",
            "replace": f"{_VALUES} of values that replace all others.",
            "repeatable": _REPEATABLE,
        },
        positional=("entry",),
    ),
    "delete": OperationForm(
        about="Deletes an entry.",
        required=_ENTRY,
        optional={"repeatable": _REPEATABLE},
        positional=("entry",),
    ),
    "rename": OperationForm(
        about="Renames an entry, and moves it if a parent is given.",
        required={**_ENTRY, "new_name": "The first part of its new name, such as uid=grace."},
        optional={
            "parent": "The name of the entry below which it is moved.",
            "keep_old": "true if the entry keeps the value of its old name.",
        },
        positional=("entry", "new_name"),
    ),
    "compare": OperationForm(
        about="Asks whether an attribute has a value.",
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
