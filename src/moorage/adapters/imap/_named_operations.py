"""The operations of the IMAP connector by name, for example for the command line."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from moorage.domain.connectors.imap_values import condition_of, plain_messages, plain_search
from moorage.domain.connectors.named_operation import NamedOperation
from moorage.domain.values.json_text import is_list
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_UIDS: Final = {"uids": "The numbers of the messages, as a list."}
_PLACE: Final = {
    "validity": "The number under which the uids are valid, as a search returned it.",
    "folder": "The name of the folder; INBOX by default.",
}
_OPERATIONS: Final[dict[str, tuple[str, dict[str, str], dict[str, str]]]] = {
    "search": (
        "Looks for messages, and returns their uids.",
        {},
        {
            "where": 'The condition, such as {"from": "ada@example.org"}; all messages by default.',
            "folder": _PLACE["folder"],
        },
    ),
    "fetch": ("Reads messages, and leaves them unseen.", _UIDS, _PLACE),
    "flag": (
        "Marks messages.",
        _UIDS,
        {
            "add": "The flags to add, as a list, such as the text \\Seen.",
            "remove": "The flags to remove, as a list.",
            **_PLACE,
        },
    ),
    "move": (
        "Moves messages to another folder.",
        {**_UIDS, "to": "The name of the other folder."},
        _PLACE,
    ),
}
"""The operations: what each does, the arguments that it needs, and those that it takes."""

_RENDERED: Final[dict[str, Any]] = {"search": plain_search, "fetch": plain_messages}
_POSITIONAL: Final = ("where", "uids", "to")
_LISTS: Final = frozenset({"uids", "add", "remove"})


class AnyImapConnector(Protocol):
    """A connector whose methods make operations, synchronous or asynchronous."""

    name: str


def named_operations(connector: AnyImapConnector) -> Mapping[str, NamedOperation]:
    """Return the operations of a connector, by name."""
    return {
        name: NamedOperation(
            name=name,
            about=about,
            arguments={**needed, **taken},
            required=frozenset(needed),
            build=partial(_build, getattr(connector, name)),
            render=_RENDERED.get(name, _unchanged),
        )
        for name, (about, needed, taken) in _OPERATIONS.items()
    }


def _unchanged(value: Any) -> Any:
    return value


def _build(make: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    values = {name: _converted(name, value) for name, value in arguments.items()}
    positional = [values.pop(name) for name in _POSITIONAL if name in values]
    return make(*positional, **values)


def _converted(name: str, value: Any) -> Any:
    """Return an argument in the form of the connector's method."""
    if name == "where":
        return condition_of(value)
    if name in _LISTS and not is_list(value):
        raise InvalidData(f"{name} is not a list.", field=name, remedy="Give a list.")
    if name == "validity" and type(value) is not int:
        raise InvalidData("The validity is not a number.", field=name, remedy="Give a number.")
    return value
