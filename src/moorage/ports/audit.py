"""The interface of stores that keep the audit trail."""

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
    """Stores the records of an audit trail, and never changes or removes one.

    `append` reads the end of the chain, has `build` make records from it, and writes these records
    with the new end, all in one step. So each of several processes that append concurrently
    continues the chain of the others. When `append` returns, the records are written and survive a
    crash of the machine. `append` refuses to continue a chain whose end is missing.

    `records` yields all records in the order in which they are stored, even if their values are
    invalid. A value of a wrong type becomes a value that matches no hash. `find` returns one page
    of matching records, newest first.

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
    """Records each manual action of a person before the action is carried out.

    `record` raises a `ConnectorError` if an act could not be recorded and must therefore not be
    done. Without an actor, the actor is the user of the operating system. The method is synchronous
    in every host; an asynchronous manager calls it in a thread.
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
