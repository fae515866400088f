"""Text messages, plain and awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mooring._bridge import awaited, blocking
from mooring.services.sms import SmsFlows

if TYPE_CHECKING:
    from mooring.services.desk import Desk


class Sms:
    """Sends text messages through whichever vendor the configuration names."""

    def __init__(self, desk: Desk, tenant: str | None) -> None:
        self._flows = SmsFlows(desk, tenant)

    send = blocking(SmsFlows.send)
    send_bulk = blocking(SmsFlows.send_bulk)
    get = blocking(SmsFlows.get)
    cancel = blocking(SmsFlows.cancel)
    validate_number = blocking(SmsFlows.validate_number)
    check_balance = blocking(SmsFlows.check_balance)


class AsyncSms:
    """As `Sms`, awaited."""

    def __init__(self, desk: Desk, tenant: str | None) -> None:
        self._flows = SmsFlows(desk, tenant)

    send = awaited(SmsFlows.send)
    send_bulk = awaited(SmsFlows.send_bulk)
    get = awaited(SmsFlows.get)
    cancel = awaited(SmsFlows.cancel)
    validate_number = awaited(SmsFlows.validate_number)
    check_balance = awaited(SmsFlows.check_balance)
