"""The requests to export, independent of a format: values are variables, secrets have none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_]+")


@attrs.frozen
class Slot:
    """A variable segment of a path: its name, and the variable that replaces it."""

    name: str
    variable: str


Path: TypeAlias = tuple[str | Slot, ...]
Pairs: TypeAlias = tuple[tuple[str, str], ...]


@attrs.frozen(kw_only=True)
class Sent:
    """A request to export.

    Attributes:
        owner: the account or the service that it belongs to.
        use: what it was sent for.
        method: in capitals.
        server: the variable of the server's URL.
        path: texts and slots, one after the other.
        query, headers: names and values.
        media: what the body is, without parameters; "" if there is none.
        body: a value of JSON, the pairs of a form, or a text.
        status: of the answer; None if nobody knows.
    """

    owner: str
    use: str
    method: str
    server: str
    path: Path
    query: Pairs = ()
    headers: Pairs = ()
    media: str = ""
    body: Any = None
    status: int | None = None

    @property
    def template(self) -> str:
        """The path with the names of its slots in braces."""
        return "".join(f"{{{part.name}}}" if isinstance(part, Slot) else part for part in self.path)


@attrs.frozen(kw_only=True)
class Description:
    """Everything that is sent.

    Attributes:
        sent: the requests, by owner.
        variables: what stands in braces; the value of a secret is empty.
        silent: accounts of which nothing can be told, with the reason.
    """

    sent: tuple[Sent, ...]
    variables: Mapping[str, str]
    silent: Mapping[str, str]


def variable(*parts: str) -> str:
    """A name for a variable that all tools take."""
    return _NO_NAME.sub("_", "_".join(part for part in parts if part)).strip("_").lower()


def braces(name: str) -> str:
    """Return a variable as it appears in a text."""
    return f"{{{{{name}}}}}"
