"""A NATS key-value bucket, in which a write must name the revision that it replaces."""

from __future__ import annotations

from json import dumps
from secrets import token_bytes
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.state._nats_wire import (
    CLOCK,
    CONFLICTS,
    EXPECTED,
    FULL,
    LEADERLESS,
    MARK,
    NO_MESSAGE,
    NO_STREAM,
    LastMessage,
    Refused,
    ServerClock,
    bucket_config,
    check_bucket,
    is_expired,
    read_reply,
    read_stored,
    stream_of,
)
from moorage.domain.messages.publish_failures import PublishFault
from moorage.errors import ConnectorError, StorageUnavailable

if TYPE_CHECKING:
    from moorage.adapters.links.shared_async import AsyncSharedLink
    from moorage.adapters.messages._nats_links import AsyncNatsLink
    from moorage.adapters.messages.nats import Nats

_UNSENT_FAULTS: Final = frozenset(
    {PublishFault.UNSENT, PublishFault.TOO_LARGE, PublishFault.PERMISSION, PublishFault.TOPIC}
)
"""Faults after which a write was certainly not stored."""


class Bucket:
    """The NATS bucket of a store, used by the callers of one event loop."""

    def __init__(
        self, settings: Nats, name: str, replicas: int, clock: ServerClock, *, creates: bool
    ) -> None:
        self.name = name
        self.where = f"NATS at {', '.join(address.host for address in settings.addresses())}"
        self.clock = clock
        self._replicas = replicas
        self._creates = creates
        self._api = settings.api
        self._links: AsyncSharedLink[AsyncNatsLink] = settings.async_links()
        self._is_ready = False
        self._position: int | None = None

    async def prepare(self, until: float) -> None:
        """At the first command, check or create the bucket, and measure the server's time."""
        if not self._is_ready:
            reply = await self._ask("STREAM.INFO", b"", until)
            if isinstance(reply, Refused) and reply.code == NO_STREAM and self._creates:
                config = bucket_config(self.name, self._replicas)
                reply = await self._ask("STREAM.CREATE", config, until)
            if isinstance(reply, Refused):
                raise self._refusal(reply)
            check_bucket(self.name, dict(reply["config"]), self._replicas)
            self._is_ready = True
        if self.clock.is_due():
            subject = f"$KV.{self.name}.{CLOCK}"
            if await self.write(subject, b"", None, "", until) is None:
                raise self.unconfirmed()
            record = await self.read(subject, until)
            if record is not None:
                self.clock.measure(record.at)

    async def read(self, subject: str, until: float) -> LastMessage | None:
        """Return the last message of a subject; None if there is none."""
        query = dumps({"last_by_subj": subject}).encode()
        reply = await self._ask("STREAM.MSG.GET", query, until)
        return self._message(reply)

    async def write(
        self, subject: str, value: bytes, revision: int | None, mark: str, until: float
    ) -> bool | None:
        """Store a message; return False after a concurrent write, None if the reply was lost.

        Args:
            subject: the subject.
            value: the content.
            revision: the revision of the last message, 0 if there is none; None to write in any
                case.
            mark: a string by which the write can be recognised later.
            until: the deadline of the write, as a time of `monotonic`.
        """
        headers = {} if revision is None else {EXPECTED: str(revision), MARK: mark}
        reply = await self._request(subject, value, headers, until)
        if isinstance(reply, PublishFault):
            if reply in _UNSENT_FAULTS:
                raise self._fault(reply)
            return None
        status, data = reply
        if status is not None:
            raise self._refusal(await self._reason_of_silence(until))
        acknowledgement = read_reply(data)
        if isinstance(acknowledgement, Refused):
            if acknowledgement.code in CONFLICTS:
                return False
            raise self._refusal(acknowledgement)
        return True

    async def housekeep(self, limit: int, until: float) -> int:
        """Purge the expired states among the bucket's next `limit`, and return their number."""
        await self.prepare(until)
        if self._position is None:
            # Each process begins at another message, so that not all read the same ones.
            state = await self._ask("STREAM.INFO", b"", until)
            if isinstance(state, Refused):
                raise self._refusal(state)
            first, last = state["state"]["first_seq"], state["state"]["last_seq"]
            self._position = first + int.from_bytes(token_bytes(6)) % max(1, last - first + 1)
        purged_count = 0
        for _ in range(limit):
            query = {"seq": self._position, "next_by_subj": f"$KV.{self.name}.>"}
            reply = await self._ask("STREAM.MSG.GET", dumps(query).encode(), until)
            record = self._message(reply)
            if record is None:
                self._position = 0
                break
            self._position = record.revision + 1
            if is_expired(record.value, self.clock.now()):
                # A newer write of the same key is kept.
                query = {"filter": record.subject, "seq": record.revision + 1}
                await self._ask("STREAM.PURGE", dumps(query).encode(), until)
                purged_count += 1
        return purged_count

    async def close(self) -> None:
        """Close the connection."""
        await self._links.close()

    async def _reason_of_silence(self, until: float) -> Refused:
        """Return why no server took a write: the bucket is missing, or has no leader."""
        reply = await self._ask("STREAM.INFO", b"", until)
        return reply if isinstance(reply, Refused) else Refused(min(LEADERLESS), "")

    def _message(self, reply: dict[str, Any] | Refused) -> LastMessage | None:
        if isinstance(reply, Refused):
            if reply.code == NO_MESSAGE:
                return None
            raise self._refusal(reply)
        record = read_stored(reply)
        self.clock.learn(record.at)
        return record

    async def _ask(self, command: str, body: bytes, until: float) -> dict[str, Any] | Refused:
        """Return JetStream's reply to an API request; retry once if the connection is lost."""
        subject = f"{self._api}.{command}.{stream_of(self.name)}"
        reply = await self._request(subject, body, {}, until)
        if reply is PublishFault.LOST:
            reply = await self._request(subject, body, {}, until)
        if isinstance(reply, PublishFault):
            raise self._fault(reply)
        status, data = reply
        if status is not None:
            raise self._unavailable(
                "has no JetStream for this account", "Enable JetStream on the server."
            )
        return read_reply(data)

    async def _request(
        self, subject: str, payload: bytes, headers: dict[str, str], until: float
    ) -> tuple[str | None, bytes] | PublishFault:
        try:
            async with self._links.link("execute", max(0.0, until - monotonic())) as link:
                return await link.request(subject, payload, headers, until)
        except ConnectorError as error:
            failure = StorageUnavailable(error.message, remedy=error.remedy)
        raise failure

    def _fault(self, fault: PublishFault) -> StorageUnavailable:
        if fault is PublishFault.TOO_LARGE:
            return self._unavailable(
                "does not accept a state of this size",
                "Raise max_payload of the server, or store smaller responses.",
                retryable=False,
            )
        if fault is PublishFault.PERMISSION:
            return self._unavailable(
                "does not allow the user to use the bucket",
                f"Allow the user to publish to $KV.{self.name}.> and {self._api}.STREAM.*.*.",
            )
        if fault is PublishFault.TOPIC:
            return self._refusal(Refused(NO_STREAM, ""))
        return self._unavailable(
            "did not answer in time", "Check the server, or raise the timeout."
        )

    def _refusal(self, refusal: Refused) -> StorageUnavailable:
        if refusal.code == NO_STREAM:
            return self._unavailable(
                f"has no bucket {self.name!r}",
                "Create the bucket. If it existed before, restore it from a backup, because a"
                " repeated call may act twice without the stored keys.",
            )
        if refusal.code in FULL:
            return self._unavailable(
                f"has no more space for the bucket {self.name!r}",
                "Raise max_bytes of the bucket, or the limits of the account.",
            )
        if refusal.code in LEADERLESS:
            return self._unavailable(
                f"has no leader for the bucket {self.name!r}",
                "Wait for the election. If it does not end, start more servers of the cluster.",
            )
        return self._unavailable(
            f"refused a request (code {refusal.code})", "Read the server's log."
        )

    def unconfirmed(self) -> StorageUnavailable:
        return self._unavailable(
            "did not confirm a write", "Check the server, and repeat the call with the same key."
        )

    def _unavailable(self, what: str, remedy: str, **fields: Any) -> StorageUnavailable:
        return StorageUnavailable(f"{self.where} {what}.", remedy=remedy, **fields)
