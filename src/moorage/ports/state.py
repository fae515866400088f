"""Where circuits, limits, budgets and idempotency keys live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from moorage.domain.state import Command

Answer = TypeVar("Answer")


class StateStorage(Protocol):
    """Runs commands over stored states, one at a time for each key, and decides nothing.

    `execute` reads the states of the command's keys, calls `apply` with them and with the store's
    own time, and stores what it returns, as one step: no other command that shares a key sees or
    changes a state in between, and either every key is written or none. The time is in
    microseconds since the Unix epoch by the *store's* clock, read no earlier than the states;
    callers' clocks never matter. `apply` may run more than once for one execution, so only its
    last answer counts.

    A missing state is None. A state may be forgotten once `quiet` microseconds (its second item)
    have passed since `seen` (its first), and not before. At its bound of live states a store
    refuses new ones with `StorageUnavailable`, which is also what it raises when it cannot be
    reached. Instead of refusing a new state of a limit, a circuit, a budget or a bulkhead it may
    drop others of that class, those first that stop mattering soonest. No foreign exception passes.

    A command whose reply is lost may be sent again only if its `once` is False.

    `timeout` is what is left of the caller's deadline, in seconds; None if there is no deadline.
    The command takes no longer than that, whatever the store waits for: a connection, a lock, a
    reply. Then it raises `StorageUnavailable`. A store may give up sooner. A store whose `execute`
    has no such parameter is accepted, and its callers may outlive their deadlines.

    `post` hands over a command whose answer nobody waits for. It is a plain function in both
    colours: it never awaits, never blocks for long, and never raises; a store that must do
    input or output sends it as soon as it can, at the latest with its next command.

    Any store, of states or of something else, may say of itself whether a crash leaves it as it
    was, as `durable`, and who shares it, as `reach`: a "process", a "machine" or a "network". One
    that says neither is taken to be durable, and to be shared by all who are configured alike. One
    whose `mixes_tags` is True takes commands whose keys have several tags (the part in braces);
    others are given such keys one tag at a time.
    """

    def execute(self, command: Command[Answer], /, timeout: float | None = None) -> Answer: ...

    def post(self, command: Command[Any], /) -> None: ...


class AsyncStateStorage(Protocol):
    """As `StateStorage`; `execute` is awaited, and a cancelled one was executed or was not."""

    async def execute(
        self, command: Command[Answer], /, timeout: float | None = None
    ) -> Answer: ...

    def post(self, command: Command[Any], /) -> None: ...
