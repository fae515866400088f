"""The email operations for users, synchronous and asynchronous."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.runtime.bridge import awaited, blocking
from moorage.services.contracts.counter import Counter, current
from moorage.services.contracts.email import EmailFlows

if TYPE_CHECKING:
    from moorage.services.contracts.counter import FindDesk


class Email:
    """Sends mail through whichever vendor the configuration names."""

    def __init__(self, desk: FindDesk, tenant: str | None) -> None:
        self._flows = Counter(EmailFlows, desk, tenant)

    send_transactional = blocking(current(EmailFlows.send_transactional))
    send_bulk = blocking(current(EmailFlows.send_bulk))
    validate_address = blocking(current(EmailFlows.validate_address))
    get_statistics = blocking(current(EmailFlows.get_statistics))


class AsyncEmail:
    """The asynchronous version of `Email`."""

    def __init__(self, desk: FindDesk, tenant: str | None) -> None:
        self._flows = Counter(EmailFlows, desk, tenant)

    send_transactional = awaited(current(EmailFlows.send_transactional))
    send_bulk = awaited(current(EmailFlows.send_bulk))
    validate_address = awaited(current(EmailFlows.validate_address))
    get_statistics = awaited(current(EmailFlows.get_statistics))
