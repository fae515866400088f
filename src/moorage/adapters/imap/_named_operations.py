"""The operations of the IMAP connector by name, for example for the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.connectors.imap_values import condition_of, plain_messages, plain_search
from moorage.domain.connectors.operation_forms import OperationForm, check_type, operations_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.connectors.named_operation import NamedOperation

_UIDS: Final = {"uids": "The UIDs of the messages, as a list."}
_PLACE: Final = {
    "validity": "The UIDVALIDITY value that the search returned together with the UIDs.",
    "folder": "The name of the folder; INBOX by default.",
}
_FORMS: Final[dict[str, OperationForm]] = {
    "search": OperationForm(
        about="Searches for messages, and returns their UIDs.",
        optional={
            "where": 'The condition, such as {"from": "ada@example.org"}; all messages by default.',
            "folder": _PLACE["folder"],
        },
        positional=("where",),
        render=plain_search,
    ),
    "fetch": OperationForm(
        about="Reads messages without marking them as seen.",
        required=_UIDS,
        optional=_PLACE,
        positional=("uids",),
        render=plain_messages,
    ),
    "flag": OperationForm(
        about="Marks messages.",
        required=_UIDS,
        optional={
            "add": "The flags to add, as a list, such as \\Seen.",
            "remove": "The flags to remove, as a list.",
            **_PLACE,
        },
        positional=("uids",),
    ),
    "move": OperationForm(
        about="Moves messages to another folder.",
        required={**_UIDS, "to": "The name of the destination folder."},
        optional=_PLACE,
        positional=("uids", "to"),
    ),
}

_TYPES: Final[dict[str, tuple[type[Any], str]]] = {
    **dict.fromkeys(("uids", "add", "remove"), (list, "a list")),
    "validity": (int, "a number"),
}


def named_operations(connector: Any) -> Mapping[str, NamedOperation]:
    """Return the operations of a connector, by name."""
    return operations_of(connector, _FORMS, _converted_argument)


def _converted_argument(name: str, value: Any) -> Any:
    """Convert an argument to the type that the connector's method accepts."""
    if name == "where":
        return condition_of(value)
    check_type(name, value, _TYPES)
    return value
