"""The connector of a mailbox over IMAP, for synchronous programs.

`python -m tools.twins` makes this file; do not edit it.

A connector makes operations, and a manager performs them:

    manager.perform("post", post.search(subject_contains("invoice")))
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from moorage.adapters.imap._links import ImapLink, connect_sync, login_of
from moorage.adapters.imap._named_operations import named_operations
from moorage.adapters.links.connector_sync import LinkConnector, LinkOperation
from moorage.adapters.links.pool_sync import LinkPool
from moorage.adapters.wire_links.server import WireServer
from moorage.domain.connectors.imap_values import (
    all_messages,
    flag_name,
    folder_name,
    pack_result,
    uids_of,
    unpack_result,
)
from moorage.domain.connectors.link_pool import PoolConfig
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.adapters.imap.kind import Imap
    from moorage.domain.connectors.imap_values import (
        ImapCondition,
        ImapMessage,
        ImapSearchResult,
    )
    from moorage.domain.connectors.named_operation import NamedOperation
    from moorage.ports.credentials import CredentialProvider

R = TypeVar("R")


class ImapOperation(LinkOperation[R]):
    """An operation on a mailbox, for `ConnectorManager.perform`."""

    __slots__ = ()

    system = "imap"

    def pack_result(self, result: Any, /) -> object:
        """Return a result as plain values, to be stored under the idempotency key."""
        return pack_result(result)

    def unpack_result(self, stored: Any, /) -> Any:
        """Return the result from the plain values of `pack_result`."""
        return unpack_result(stored)


class ImapConnector(LinkConnector[ImapLink]):
    """A connector of a mailbox over IMAP, for synchronous programs.

    Args:
        settings: the server and the user.
        name: the name of the connector.
        provider: the provider of the service's credentials, which replaces those in the settings.
            It is asked for each connection, and renews credentials that the server refused.
    """

    kind = "imap"

    def __init__(
        self,
        settings: Imap,
        *,
        name: str = "imap",
        provider: CredentialProvider | None = None,
    ) -> None:
        login = login_of(settings, settings.service or name, provider)
        server = WireServer(settings.address(), settings.connect_timeout)
        pool = LinkPool(
            partial(connect_sync, server, settings, login),
            PoolConfig(maximum=settings.connections),
        )
        super().__init__(name, settings.service, pool, title="The mailbox")

    @property
    def operations(self) -> Mapping[str, NamedOperation]:
        """The operations that can be performed by name."""
        return named_operations(self)

    def search(
        self, where: ImapCondition | None = None, /, *, folder: str = "INBOX"
    ) -> ImapOperation[ImapSearchResult]:
        r"""Return the operation that searches messages and returns their uids.

        Args:
            where: the condition, such as `subject_contains("invoice") & ~has_flag("\\Seen")`.
            folder: the name of the folder.
        """
        place, condition = folder_name(folder), where or all_messages()

        def use_link(link: ImapLink, until: float) -> ImapSearchResult:
            return link.search(place, condition, until)

        return ImapOperation("search", self._on_link("search", use_link), safe=True)

    def fetch(
        self, uids: Iterable[int], /, *, validity: int | None = None, folder: str = "INBOX"
    ) -> ImapOperation[tuple[ImapMessage, ...]]:
        """Return the operation that reads messages without marking them as seen.

        Messages that are gone are left out. Of a message that is larger than `largest` only the
        header is read.

        Args:
            uids: the numbers of the messages.
            validity: the number under which they are valid, as `search` returned it.
            folder: the name of the folder.
        """
        place, numbers = folder_name(folder), uids_of(uids)

        def use_link(link: ImapLink, until: float) -> tuple[ImapMessage, ...]:
            return link.fetch(place, numbers, validity, until)

        return ImapOperation("fetch", self._on_link("fetch", use_link), safe=True)

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
        r"""Return the operation that adds or removes flags of messages; it may be repeated.

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
            raise InvalidData(
                "The list of flags to add or remove is empty.",
                field="add",
                remedy="Pass at least one flag to add or to remove.",
            )

        def use_link(link: ImapLink, until: float) -> None:
            for change in changes:
                link.flag(place, numbers, validity, change, until)

        return ImapOperation("flag", self._on_link("flag", use_link), repeatable=True)

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

        def use_link(link: ImapLink, until: float) -> None:
            link.move(place, numbers, validity, target, until)

        return ImapOperation("move", self._on_link("move", use_link))
