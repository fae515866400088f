"""Requests in a form for any export, with variables in place of values and secrets."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_-]+")


@attrs.frozen
class Slot:
    """A variable segment of a path: its name, and its variable."""

    name: str
    variable: str


Path: TypeAlias = tuple[str | Slot, ...]
Pairs: TypeAlias = tuple[tuple[str, str], ...]


@attrs.frozen(kw_only=True)
class DescribedRequest:
    """A request for an export.

    Attributes:
        owner: the account or the service that it belongs to.
        use: the purpose of the request, such as the operation.
        method: the HTTP method, in upper case.
        server: the variable of the server's URL.
        path: the pieces of the path: texts and slots.
        query, headers: pairs of name and value.
        media: the media type of the body, without parameters; "" if there is no body.
        body: a JSON value, the pairs of a form, or a text.
        status: the status of the answer; None if it is unknown.
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
        """The path with the names of its variable segments in braces."""
        return "".join(f"{{{part.name}}}" if isinstance(part, Slot) else part for part in self.path)


@attrs.frozen(kw_only=True)
class Description:
    """All requests of a configuration.

    Attributes:
        sent: the requests, ordered by owner.
        variables: the values of the variables by name; the value of a secret is empty.
        silent: the accounts whose requests are unknown, each with the reason.
    """

    sent: tuple[DescribedRequest, ...]
    variables: Mapping[str, str]
    silent: Mapping[str, str]


def variable(*parts: str) -> str:
    """Join some words into a variable name that all export tools accept."""
    return _NO_NAME.sub("_", "_".join(part for part in parts if part)).strip("_").lower()


class VariablePrefixes:
    """The prefixes of the names of variables; each account and each service has its own prefix."""

    def __init__(self) -> None:
        self._prefixes = set[str]()

    def add(self, owner: str) -> str:
        """Return a prefix for an owner, numbered if another owner has the same letters."""
        beginning = variable(owner) or "account"
        numbers = itertools.count(2)
        prefix = beginning
        while prefix in self._prefixes:
            prefix = f"{beginning}_{next(numbers)}"
        self._prefixes.add(prefix)
        return prefix


def variable_in_braces(name: str) -> str:
    """Return a variable's placeholder for a text."""
    return f"{{{{{name}}}}}"
