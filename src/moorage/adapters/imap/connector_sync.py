"""The connector of a mailbox over IMAP, for synchronous programs.

`python -m tools.twins` makes this file; do not edit it.

A connector makes operations, and a manager performs them:

    manager.perform("post", post.search(subject_contains("invoice")))
"""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from moorage.adapters.imap._links import connect_sync, login_of
from moorage.adapters.imap._named_operations import named_operations
from moorage.adapters.links.pool_sync import LinkPool
from moorage.adapters.messages._health import health_of
from moorage.domain.connectors.health import ConnectorVersions
from moorage.domain.connectors.imap_values import (
    everything,
    flag_name,
    folder_name,
    pack_result,
    uids_of,
    unpack_result,
)
from moorage.domain.connectors.link_pool import PoolConfig
from moorage.domain.secrets.frames import bare
from moorage.errors import ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from moorage.adapters.imap._links import ImapLink
    from moorage.adapters.imap.kind import Imap
    from moorage.domain.connectors.health import ConnectorHealth
    from moorage.domain.connectors.imap_values import (
        ImapCondition,
        ImapMessage,
        ImapSearchResult,
    )
    from moorage.domain.connectors.named_operation import NamedOperation
    from moorage.domain.connectors.pool_statistics import PoolStatistics
    from moorage.domain.service.operation import OperationAttempt
    from moorage.ports.credentials import CredentialProvider

R = TypeVar("R")

_CONNECT_TIMEOUT: Final = 5.0
_MARGIN: Final = 0.02
"""Seconds, and the share of an attempt, that are left for reporting a failure in time."""


class ImapOperation(Generic[R]):
    """An operation on a mailbox, for `ConnectorManager.perform`.

    Attributes:
        name: its name in events, errors and logs.
        safe: True if it changes nothing.
        repeatable: True if performing it twice does no harm.
    """

    __slots__ = ("_connector", "_work", "name", "repeatable", "safe")

    system = "imap"

    def __init__(
        self,
        connector: ImapConnector,
        name: str,
        work: Callable[[ImapLink, float], R],
        *,
        safe: bool = False,
        repeatable: bool = False,
    ) -> None:
        self._connector = connector
        self._work = work
        self.name = name
        self.safe = safe
        self.repeatable = safe or repeatable

    def perform(self, attempt: OperationAttempt, /) -> R:
        """Make one attempt of the operation."""
        timeout = attempt.timeout
        until = monotonic() + timeout - min(_MARGIN, timeout * _MARGIN)
        return self._connector.attempt(self.name, self._work, until)

    def judge(self, error: Exception, /) -> ConnectorError | None:
        """Return None: every error of a link is one of moorage already."""
        del error
        return None

    def pack_result(self, result: Any, /) -> object:
        """Return a result as plain values, which a store keeps for repeats of the key."""
        return pack_result(result)

    def unpack_result(self, stored: Any, /) -> Any:
        """Return the result that `pack_result` returned as plain values."""
        return unpack_result(stored)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class ImapConnector:
    """A connector of a mailbox over IMAP, for synchronous programs.

    Args:
        settings: the server and the user.
        name: the name of the connector.
        provider: has the credentials of the service, instead of the settings; it is asked for each
            connection, and renews those that were refused.
    """

    kind = "imap"
    versions = ConnectorVersions()

    def __init__(
        self,
        settings: Imap,
        *,
        name: str = "imap",
        provider: CredentialProvider | None = None,
    ) -> None:
        self.name = name
        self.service = name if settings.service is None else settings.service
        login = login_of(settings, self.service, provider)
        self._pool: LinkPool[ImapLink] = LinkPool(
            partial(connect_sync, settings, login), PoolConfig(maximum=settings.connections)
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def operations(self) -> Mapping[str, NamedOperation]:
        """The operations that can be performed by name."""
        return named_operations(self)

    def statistics(self) -> PoolStatistics:
        """Return the numbers of the connection pool, without waiting."""
        return self._pool.statistics()

    def search(
        self, where: ImapCondition | None = None, /, *, folder: str = "INBOX"
    ) -> ImapOperation[ImapSearchResult]:
        r"""Return the operation that looks for messages, and returns their uids.

        Args:
            where: the condition, such as `subject_contains("invoice") & ~has_flag("\\Seen")`.
            folder: the name of the folder.
        """
        place, condition = folder_name(folder), where or everything()

        def work(link: ImapLink, until: float) -> ImapSearchResult:
            return link.search(place, condition, until)

        return ImapOperation(self, "search", work, safe=True)

    def fetch(
        self, uids: Iterable[int], /, *, validity: int | None = None, folder: str = "INBOX"
    ) -> ImapOperation[tuple[ImapMessage, ...]]:
        """Return the operation that reads messages, and leaves them unseen.

        Messages that are gone are left out. Of a message that is larger than `largest` only the
        header is read.

        Args:
            uids: the numbers of the messages.
            validity: the number under which they are valid, as `search` returned it.
            folder: the name of the folder.
        """
        place, numbers = folder_name(folder), uids_of(uids)

        def work(link: ImapLink, until: float) -> tuple[ImapMessage, ...]:
            return link.fetch(place, numbers, validity, until)

        return ImapOperation(self, "fetch", work, safe=True)

    def flag(
        self,
        uids: Iterable[int],
        /,
        *,
        add: Iterable[str] = (),
        remove: Iterable[str] = (),
        validity: int | None = None,
        folder: str = "INBOX",
    ) -> ImapOperation[None]:
        r"""Return the operation that marks messages, and that may be repeated.

        Args:
            uids: the numbers of the messages.
            add: the flags to add, such as "\\Seen", or keywords.
            remove: the flags to remove, after that.
            validity: the number under which the uids are valid.
            folder: the name of the folder.
        """
        place, numbers = folder_name(folder), uids_of(uids)
        changes = [
            (sign, [flag_name(flag) for flag in flags])
            for sign, flags in (("+", [*add]), ("-", [*remove]))
            if flags
        ]
        if not changes:
            raise InvalidData("There is no flag.", field="add", remedy="Give flags to add.")

        def work(link: ImapLink, until: float) -> None:
            for change in changes:
                link.flag(place, numbers, validity, change, until)

        return ImapOperation(self, "flag", work, repeatable=True)

    def move(
        self,
        uids: Iterable[int],
        to: str,
        /,
        *,
        validity: int | None = None,
        folder: str = "INBOX",
    ) -> ImapOperation[None]:
        """Return the operation that moves messages to another folder.

        Args:
            uids: the numbers of the messages.
            to: the name of the other folder, which must exist.
            validity: the number under which the uids are valid.
            folder: the name of the folder.
        """
        place, target, numbers = folder_name(folder), folder_name(to), uids_of(uids)

        def work(link: ImapLink, until: float) -> None:
            link.move(place, numbers, validity, target, until)

        return ImapOperation(self, "move", work)

    def open(self, timeout: float = _CONNECT_TIMEOUT, /) -> None:
        """Open a connection, so that a wrong configuration is noticed now."""
        try:
            self._pool.open(timeout)
        except Exception as error:  # noqa: BLE001 - raised again without its frames
            failure = error
        else:
            return
        raise bare(failure)

    def health(self, timeout: float = _CONNECT_TIMEOUT, /) -> ConnectorHealth:
        """Return the health of the mailbox, as a value."""
        begun = monotonic()

        def work(link: ImapLink, until: float) -> None:
            link.ping(max(0.0, until - monotonic()))

        try:
            self.attempt("health", work, begun + timeout)
        except ConnectorError as error:
            return health_of(self.name, "The mailbox", monotonic() - begun, error=error)
        return health_of(self.name, "The mailbox", monotonic() - begun)

    def close(self) -> None:
        """Close the idle connections; those in use are closed at the end of their operations."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def attempt(
        self,
        name: str,
        work: Callable[[ImapLink, float], R],
        until: float,
    ) -> R:
        """Make one attempt before a deadline; applications make operations instead."""
        try:
            with self._pool.link(name, max(0.0, until - monotonic())) as link:
                return work(link, until)
        except Exception as error:  # noqa: BLE001 - as below
            failure = error
        # The frames hold the password and the messages.
        raise bare(failure)
