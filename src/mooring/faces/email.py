"""Mail, plain and awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mooring._bridge import awaited, blocking
from mooring.services.email import EmailFlows

if TYPE_CHECKING:
    from mooring.services.desk import Desk


class Email:
    """Sends mail through whichever vendor the configuration names."""

    def __init__(self, desk: Desk, tenant: str | None) -> None:
        self._flows = EmailFlows(desk, tenant)

    send_transactional = blocking(EmailFlows.send_transactional)
    send_bulk = blocking(EmailFlows.send_bulk)
    validate_address = blocking(EmailFlows.validate_address)
    get_statistics = blocking(EmailFlows.get_statistics)


class AsyncEmail:
    """As `Email`, awaited."""

    def __init__(self, desk: Desk, tenant: str | None) -> None:
        self._flows = EmailFlows(desk, tenant)

    send_transactional = awaited(EmailFlows.send_transactional)
    send_bulk = awaited(EmailFlows.send_bulk)
    validate_address = awaited(EmailFlows.validate_address)
    get_statistics = awaited(EmailFlows.get_statistics)
