"""The text-message operations for users, synchronous and asynchronous."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.runtime.bridge import awaited, blocking
from moorage.services.contracts.live_configuration import CurrentOperations, on_current_dispatcher
from moorage.services.contracts.sms import SmsFlows

if TYPE_CHECKING:
    from moorage.services.contracts.live_configuration import FindDispatcher


class Sms:
    """Sends text messages through whichever vendor the configuration names."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(SmsFlows, find_dispatcher, tenant)

    send = blocking(on_current_dispatcher(SmsFlows.send))
    send_bulk = blocking(on_current_dispatcher(SmsFlows.send_bulk))
    get = blocking(on_current_dispatcher(SmsFlows.get))
    cancel = blocking(on_current_dispatcher(SmsFlows.cancel))
    validate_number = blocking(on_current_dispatcher(SmsFlows.validate_number))
    check_balance = blocking(on_current_dispatcher(SmsFlows.check_balance))


class AsyncSms:
    """The asynchronous version of `Sms`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(SmsFlows, find_dispatcher, tenant)

    send = awaited(on_current_dispatcher(SmsFlows.send))
    send_bulk = awaited(on_current_dispatcher(SmsFlows.send_bulk))
    get = awaited(on_current_dispatcher(SmsFlows.get))
    cancel = awaited(on_current_dispatcher(SmsFlows.cancel))
    validate_number = awaited(on_current_dispatcher(SmsFlows.validate_number))
    check_balance = awaited(on_current_dispatcher(SmsFlows.check_balance))
