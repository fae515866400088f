"""The text-message operations for users, synchronous and asynchronous."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.runtime.bridge import awaited, blocking
from moorage.services.contracts.counter import Counter, current
from moorage.services.contracts.sms import SmsFlows

if TYPE_CHECKING:
    from moorage.services.contracts.counter import FindDesk


class Sms:
    """Sends text messages through whichever vendor the configuration names."""

    def __init__(self, desk: FindDesk, tenant: str | None) -> None:
        self._flows = Counter(SmsFlows, desk, tenant)

    send = blocking(current(SmsFlows.send))
    send_bulk = blocking(current(SmsFlows.send_bulk))
    get = blocking(current(SmsFlows.get))
    cancel = blocking(current(SmsFlows.cancel))
    validate_number = blocking(current(SmsFlows.validate_number))
    check_balance = blocking(current(SmsFlows.check_balance))


class AsyncSms:
    """The asynchronous version of `Sms`."""

    def __init__(self, desk: FindDesk, tenant: str | None) -> None:
        self._flows = Counter(SmsFlows, desk, tenant)

    send = awaited(current(SmsFlows.send))
    send_bulk = awaited(current(SmsFlows.send_bulk))
    get = awaited(current(SmsFlows.get))
    cancel = awaited(current(SmsFlows.cancel))
    validate_number = awaited(current(SmsFlows.validate_number))
    check_balance = awaited(current(SmsFlows.check_balance))
