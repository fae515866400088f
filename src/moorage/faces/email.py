"""The email operations for users, synchronous and asynchronous."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.runtime.bridge import awaited, blocking
from moorage.services.contracts.email import EmailFlows
from moorage.services.contracts.live_configuration import CurrentOperations, on_current_dispatcher

if TYPE_CHECKING:
    from moorage.services.contracts.live_configuration import FindDispatcher


class Email:
    """Sends mail through whichever vendor the configuration names."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(EmailFlows, find_dispatcher, tenant)

    send_transactional = blocking(on_current_dispatcher(EmailFlows.send_transactional))
    send_bulk = blocking(on_current_dispatcher(EmailFlows.send_bulk))
    validate_address = blocking(on_current_dispatcher(EmailFlows.validate_address))
    get_statistics = blocking(on_current_dispatcher(EmailFlows.get_statistics))


class AsyncEmail:
    """The asynchronous version of `Email`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(EmailFlows, find_dispatcher, tenant)

    send_transactional = awaited(on_current_dispatcher(EmailFlows.send_transactional))
    send_bulk = awaited(on_current_dispatcher(EmailFlows.send_bulk))
    validate_address = awaited(on_current_dispatcher(EmailFlows.validate_address))
    get_statistics = awaited(on_current_dispatcher(EmailFlows.get_statistics))
