"""The base of sandboxes for CRMs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import attrs

from moorage.testing.sandboxes.base import Sandbox

if TYPE_CHECKING:
    from collections.abc import Sequence


@attrs.frozen(kw_only=True)
class StoredRecord:
    """A record stored in the CRM.

    Attributes:
        id: the CRM's id of the record.
        type: "person", "company", "deal" or "note".
        reference: the caller's own id of the record, if there is one.
        links: ids of the records that are linked to it, in order of their creation.
        text: text of a note, as the CRM shows it.
    """

    id: str
    type: str
    reference: str | None = None
    links: tuple[str, ...] = ()
    text: str | None = None


class CrmSandbox(Sandbox, ABC):
    """A local sandbox that imitates a CRM.

    Attributes:
        stages: ids of the stages of a deal: an open one, a won one and a lost one.
    """

    stages: ClassVar[tuple[str, str, str]]

    @abstractmethod
    def records(self, type_: str) -> Sequence[StoredRecord]:
        """Return the stored records of a type, in order of creation."""


__all__ = ["CrmSandbox", "StoredRecord"]
