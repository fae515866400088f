"""The containers of a storage sandbox's account."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

PAGE: Final = 2
"""Number of containers on a page of a list; vendors may return fewer than the request allows."""
TAKEN: Final = "taken-by-another-account"
"""Name of a container of another account, at vendors whose names are shared by all accounts."""


class Containers:
    """The names of an account's containers, with the times of their creation.

    The sandbox stores objects in the first container only, so all others are empty.
    """

    def __init__(self, name: str, now: Callable[[], datetime]) -> None:
        self._now = now
        self.created_at: dict[str, datetime] = {name: now()}

    def add(self, name: str) -> bool:
        """Create a container; return False if the account has it."""
        if name in self.created_at:
            return False
        self.created_at[name] = self._now()
        return True

    def remove(self, name: str) -> bool:
        """Delete a container; return False if the account has none with this name."""
        return self.created_at.pop(name, None) is not None

    def page(self, last: str, prefix: str = "") -> tuple[list[str], str | None]:
        """Return the next names of a list, and the token of the page that follows."""
        names = sorted(name for name in self.created_at if name > last and name.startswith(prefix))
        page = names[:PAGE]
        has_more = len(names) > PAGE
        return page, b64encode(page[-1].encode()).decode() if has_more else None
