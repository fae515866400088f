"""The base of sandboxes for directories of people."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import attrs

from moorage.domain.values.json_text import is_object
from moorage.testing.sandboxes.base import Sandbox, state_field

if TYPE_CHECKING:
    from collections.abc import Sequence


@attrs.frozen(kw_only=True)
class StoredAccount:
    """An account stored in the directory.

    Attributes:
        id: the directory's id of the account.
        user_name: name to sign in with.
        active: True if the person can sign in.
        external_id: the caller's own id of the person, if there is one.
        emails: addresses, the primary one first.
        password: first password, if there is one.
        annotated: True if the notes that `annotate` wrote still exist.
    """

    id: str
    user_name: str
    active: bool
    external_id: str | None
    emails: tuple[str, ...]
    password: str | None = attrs.field(default=None, repr=False)
    annotated: bool = False


class PeopleSandbox(Sandbox, ABC):
    """A local sandbox that imitates a directory of people.

    Attributes:
        group: id of a group that exists from the start.
        largest_page: number of entries that a page has at most.
    """

    group: str = state_field(str)
    largest_page: int = state_field(lambda: 100)

    @abstractmethod
    def accounts(self) -> Sequence[StoredAccount]:
        """Return the accounts in order of creation."""

    @abstractmethod
    def memberships(self) -> Sequence[str]:
        """Return the ids of the group's members, in order of joining."""

    @abstractmethod
    def annotate(self, id_: str) -> None:
        """Write notes to fields outside of the contract, in an account and in its lists."""


def as_dict(value: Any) -> dict[str, Any]:
    """Return a JSON object; an empty dictionary for any other value."""
    return value if is_object(value) else {}


__all__ = ["PeopleSandbox", "StoredAccount", "as_dict"]
