"""The interface of stores that keep circuits, limits, budgets and idempotency keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from moorage.domain.state.commands import Command

Answer = TypeVar("Answer")


class StateStorage(Protocol):
    """Runs commands on the states stored under keys, one at a time for each key.

    `execute` reads the states of the command's keys, calls `apply` with them and with the store's
    own time, and stores the returned states, in one step: no other command that shares a key sees
    or changes a state in between, and either every key is written or none. The time is in
    microseconds since the Unix epoch by the *store's* clock, read no earlier than the states;
    callers' clocks never matter. `apply` may run more than once for one execution, so only the
    result of its last run counts.

    A missing state is None. A state may be deleted once `keep_for` microseconds (its second item)
    have passed since `seen` (its first), and not before. A store that has reached its limit of live
    states refuses new ones with `StorageUnavailable`, which it also raises when it cannot be
    reached. Instead of refusing a new state of a limit, a circuit, a budget or a bulkhead it may
    delete others of that class, those that expire soonest first. No foreign exception passes.

    A command whose reply is lost may be sent again only if its `once` is False.

    `timeout` is the rest of the caller's deadline, in seconds; None without a deadline. The
    command takes no longer than that, including all waits for a connection, a lock or a reply.
    Then it raises `StorageUnavailable`. A store may give up sooner. A store whose `execute` has no
    such parameter is accepted, and its callers may outlive their deadlines.

    `post` accepts a command whose answer is not needed. `post` is synchronous in every host: it
    never awaits, never blocks for long, and never raises; a store that needs input or output sends
    it as soon as it can, at the latest with its next command.

    Any store, of states or of something else, may declare whether its data survives a crash, as
    `durable`, and who shares it, as `reach`: a "process", a "machine" or a "network". A store that
    declares neither is taken to be durable, and to be shared by all processes with the same
    configuration. A store whose `mixes_tags` is True accepts commands whose keys have several tags
    (the part in braces); others receive such keys one tag at a time. An idempotency key has a tag
    of its own.

    A store whose `claims_only` is True changes one key at a time. Such a store accepts claims, such
    as idempotency keys, and commands that renew claims; it refuses limits, circuits, retry budgets,
    bulkheads and any command on several keys with `ConfigurationError`. It needs no clock of its
    own: it may take the server's time of a write and add what a local clock has measured since, as
    long as its time never precedes the server's but for the difference of their rates. The time
    that a command gets is then too early by at most a round trip, so a lease may last that much
    longer; one that ends early costs its holder only a refused write, by the fencing number.
    """

    def execute(self, command: Command[Answer], /, timeout: float | None = None) -> Answer: ...

    def post(self, command: Command[Any], /) -> None: ...


class AsyncStateStorage(Protocol):
    """The asynchronous `StateStorage`.

    A cancelled `execute` has either completed or done nothing.
    """

    async def execute(
        self, command: Command[Answer], /, timeout: float | None = None
    ) -> Answer: ...

    def post(self, command: Command[Any], /) -> None: ...
