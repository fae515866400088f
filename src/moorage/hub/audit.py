"""The audit trail of an application, a chain of records that can be sealed and verified."""

from __future__ import annotations

import getpass
import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.clocks.system import SystemClock
from moorage.adapters.concurrency.pooled_threads import to_thread
from moorage.adapters.notices import give_notice
from moorage.domain.observation.audit import (
    Act,
    AuditHead,
    AuditPage,
    AuditQuery,
    AuditRecord,
    Fault,
    Finding,
    Verification,
    extended_chain,
    seal,
    verify,
)
from moorage.domain.secrets.frames import with_careful_constructor, without_arguments_in_errors
from moorage.domain.secrets.secret import Secret
from moorage.domain.state.sealing import KeyRing
from moorage.domain.values.durations import count
from moorage.domain.values.uncopyable import Uncopyable
from moorage.errors import ConfigurationError, ConnectorError, StorageUnavailable
from moorage.runtime.flows import documented_by, guarded_port
from moorage.runtime.signatures import with_arguments_of
from moorage.services.core.foreign_errors import audit_failure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.ports.audit import AuditStorage
    from moorage.ports.clock import Clock

__all__ = (
    "Act",
    "AsyncAuditTrail",
    "AuditHead",
    "AuditPage",
    "AuditQuery",
    "AuditRecord",
    "AuditTrail",
    "Fault",
    "Finding",
    "Verification",
)

SEAL_EVERY: Final = 100
"""The usual number of records between two seals."""


def system_user() -> str:
    """Return the name of the operating system's user that runs this process."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # a container may have a number without a name
        return f"user {os.getuid()}"


@with_careful_constructor
class AuditTrail(Uncopyable):
    """Records people's manual actions in a chain of hashes.

    Safe to share between threads, and between processes that share the store.

    Args:
        storage: the store of the records.
        keys: the keys that seal the chain, as `generate_keys` makes them; the first one seals.
            Without keys there are no seals.
        seal_every: the number of records between two seals.
        required: True if an act that cannot be recorded is refused. Otherwise it is done, with a
            warning.
        clock: the clock that gives the time of acts; by default the system's.
    """

    @without_arguments_in_errors
    def __init__(
        self,
        storage: AuditStorage,
        *,
        keys: KeyRing | Secret | None = None,
        seal_every: int = SEAL_EVERY,
        required: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self._storage = storage
        self._keys = KeyRing.parse(keys) if isinstance(keys, Secret) else keys
        self._every = count(seal_every, "seal_every")
        self._required = required
        self._clock = clock or SystemClock()

    def __repr__(self) -> str:
        return f"AuditTrail({self._storage!r})"

    def record(
        self,
        act: str,
        subject: str,
        *,
        actor: str | None = None,
        reason: str = "",
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> AuditRecord | None:
        """Record a manual action before it is carried out.

        Args:
            act: the name of the act, such as "circuit.open".
            subject: the thing that it is done to, such as "service vat".
            actor: the person who does it; by default the user of the operating system.
            reason: the reason that the person gave.
            before: the state before it: plain values by name. A value is masked if its name may be
                the name of a credential.
            after: the state after it, in the same form.

        Returns:
            The record; None if it could not be written and is not required.

        Raises:
            StorageUnavailable: the act could not be recorded, so it must not be done.
            ConfigurationError: the trail is damaged, or its tables do not exist.
        """
        audited_act = Act(
            act=act,
            subject=subject,
            actor=actor or system_user(),
            reason=reason,
            before=before,
            after=after,
            at=self._clock.utc(),
        )
        build_records = partial(
            extended_chain, acts=(audited_act,), keys=self._keys, every=self._every
        )
        try:
            return guarded_port(self._storage.append, audit_failure)(build_records)[0]
        except ConnectorError as error:
            if self._required:
                raise _refusal(audited_act, error) from None
            message, remedy = error.message, error.remedy
        give_notice(f"{audited_act.act} was not recorded in the audit trail: {message} {remedy}")
        return None

    def seal(self) -> AuditRecord:
        """Seal the audit trail with the key ring's first key, and return the seal's record.

        Note the seal's number and hash elsewhere: with them, `verify` notices that later records
        were cut off.

        Raises:
            ConfigurationError: this trail has no keys.
            StorageUnavailable: the store is not available.
        """
        keys = self._keys
        if keys is None:
            raise ConfigurationError(
                "This audit trail has no keys to seal it with.",
                path="audit.keys",
                remedy="Create keys with `generate_keys` and configure them, such as keys ="
                " 'secret://env/AUDIT_KEYS'.",
            )
        sealed_at = self._clock.utc()

        def build_records(head: AuditHead) -> tuple[Sequence[AuditRecord], AuditHead]:
            seal_record, end = seal(head, keys, sealed_at)
            return [seal_record], end

        return guarded_port(self._storage.append, audit_failure)(build_records)[0]

    def verify(self, *, anchor: AuditHead | None = None) -> Verification:
        """Verify the whole chain of audit records, and find the first broken link.

        Args:
            anchor: the number and hash of a record that were noted elsewhere.

        Raises:
            StorageUnavailable: the store is not available.
        """
        return guarded_port(self._verify, audit_failure)(anchor)

    def _verify(self, anchor: AuditHead | None) -> Verification:
        storage = self._storage
        head = storage.head()
        return verify(
            storage.records(), head=head, later=storage.head, keys=self._keys, anchor=anchor
        )

    def find(self, query: AuditQuery | None = None) -> AuditPage:
        """Find one page of the audit records that match a query, newest first.

        Raises:
            StorageUnavailable: the store is not available.
        """
        find_page = guarded_port(self._storage.find, audit_failure)
        return find_page(AuditQuery() if query is None else query)

    def close(self) -> None:
        """Close the connections of the audit trail's store."""
        self._storage.close()

    async def aclose(self) -> None:
        """Close the connections of the audit trail's store, for an asynchronous hub."""
        self.close()


@with_arguments_of(AuditTrail)
class AsyncAuditTrail(Uncopyable):
    """The asynchronous `AuditTrail`, which waits for the store in threads."""

    @without_arguments_in_errors
    def __init__(
        self,
        storage: AuditStorage,
        *,
        keys: KeyRing | Secret | None = None,
        seal_every: int = SEAL_EVERY,
        required: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self._trail = AuditTrail(
            storage, keys=keys, seal_every=seal_every, required=required, clock=clock
        )

    def __repr__(self) -> str:
        return f"Async{self._trail!r}"

    @documented_by(AuditTrail.record)
    async def record(  # noqa: D102 - documented by its twin
        self,
        act: str,
        subject: str,
        *,
        actor: str | None = None,
        reason: str = "",
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> AuditRecord | None:
        return await to_thread(
            self._trail.record,
            act,
            subject,
            actor=actor,
            reason=reason,
            before=before,
            after=after,
        )

    @documented_by(AuditTrail.seal)
    async def seal(self) -> AuditRecord:  # noqa: D102 - documented by its twin
        return await to_thread(self._trail.seal)

    @documented_by(AuditTrail.verify)
    async def verify(self, *, anchor: AuditHead | None = None) -> Verification:  # noqa: D102 - documented by its twin
        return await to_thread(self._trail.verify, anchor=anchor)

    @documented_by(AuditTrail.find)
    async def find(self, query: AuditQuery | None = None) -> AuditPage:  # noqa: D102 - documented by its twin
        return await to_thread(self._trail.find, query)


def _refusal(act: Act, error: ConnectorError) -> ConnectorError:
    """Return the error for a manual action refused because the audit trail failed to record it."""
    message = (
        f"{act.act} of {act.subject} was refused, because it could not be recorded in the audit"
        f" trail: {error.message}"
    )
    if isinstance(error, ConfigurationError):
        return ConfigurationError(message, path=error.path, remedy=error.remedy)
    return StorageUnavailable(message, remedy=error.remedy)
