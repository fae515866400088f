"""The store of the audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from moorage.domain.observation.audit import (
        AuditHead,
        AuditPage,
        AuditQuery,
        AuditRecord,
    )


class AuditStorage(Protocol):
    """Keeps the records of a chain, and never changes or removes one.

    `append` reads the end of the chain, has `build` make records from it, and writes these with the
    new end: in one step, so that of several processes which append at once each continues the
    chain of the others. The records are written, and survive the machine, when it returns. It
    refuses to continue a chain whose end is missing.

    `records` yields all records in the order in which they are stored, whatever their values; a
    value that is not of its type becomes one that no hash matches. `find` returns one page of
    matching records, newest first.

    The only errors it raises are `StorageUnavailable` and `ConfigurationError`.
    """

    def append(
        self, build: Callable[[AuditHead], tuple[Sequence[AuditRecord], AuditHead]], /
    ) -> Sequence[AuditRecord]: ...

    def head(self) -> AuditHead: ...

    def records(self) -> Iterator[AuditRecord]: ...

    def find(self, query: AuditQuery, /) -> AuditPage: ...

    def close(self) -> None: ...


class AuditTrail(Protocol):
    """Records acts by hand, before they are done.

    `record` raises a `ConnectorError` if an act could not be recorded and must not be done. Without
    an actor it is the user of the operating system. It is synchronous in every host: an
    asynchronous manager calls it in a thread.
    """

    def record(
        self,
        act: str,
        subject: str,
        *,
        actor: str | None = None,
        reason: str = "",
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> object: ...
