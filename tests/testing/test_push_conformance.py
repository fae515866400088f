"""The conformance kit of push vendors finds faulty vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.push import PushReceipt
from moorage.errors import ConnectorError, OutcomeUnknown
from moorage.testing import push_conformance as kit
from moorage.vendors.push.firebase import Firebase
from tests.vendors import push_subjects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.push import PushMessage
    from moorage.contracts.wire import Wire
    from moorage.domain.service.settings import Service


class _SendingTwiceVendor(Firebase):
    """A faulty vendor that sends each notification twice."""

    async def send(self, wire: Wire, message: PushMessage, /, *, key: str | None) -> PushReceipt:
        await super().send(wire, message, key=None)
        return await super().send(wire, message, key=key)


class _KeylessVendor(Firebase):
    """A faulty vendor that loses the idempotency key."""

    async def send(self, wire: Wire, message: PushMessage, /, *, key: str | None) -> PushReceipt:
        return await super().send(wire, message, key=None)


class _FailureIsSuccessVendor(Firebase):
    """A faulty vendor that reports each failure as a success."""

    async def send(self, wire: Wire, message: PushMessage, /, *, key: str | None) -> PushReceipt:
        try:
            return await super().send(wire, message, key=key)
        except ConnectorError:
            return PushReceipt(ref=None)


class _UnknownIsSuccessVendor(Firebase):
    """A faulty vendor that reports an unknown outcome as a success."""

    async def send(self, wire: Wire, message: PushMessage, /, *, key: str | None) -> PushReceipt:
        try:
            return await super().send(wire, message, key=key)
        except OutcomeUnknown:
            return PushReceipt(ref=None)


class _OneErrorClassVendor(Firebase):
    """A faulty vendor that raises the same error for an expired token as for other refusals."""

    def services(self) -> Mapping[str, Service]:
        services = super().services()
        return {name: attrs.evolve(service, classify=None) for name, service in services.items()}


class _LosesDataVendor(Firebase):
    """A faulty vendor that loses the data for the app."""

    async def send(self, wire: Wire, message: PushMessage, /, *, key: str | None) -> PushReceipt:
        return await super().send(wire, attrs.evolve(message, data={}), key=key)


class _AlwaysHighPriorityVendor(Firebase):
    """A faulty vendor that sends all notifications with high priority."""

    async def send(self, wire: Wire, message: PushMessage, /, *, key: str | None) -> PushReceipt:
        extra = {"firebase": {"android": {"priority": "HIGH"}}}
        return await super().send(wire, attrs.evolve(message, extra=extra), key=key)


class _ReceiptsShowRecipientVendor(Firebase):
    """A faulty vendor whose receipts show the recipient."""

    async def send(self, wire: Wire, message: PushMessage, /, *, key: str | None) -> PushReceipt:
        receipt = await super().send(wire, message, key=key)
        return attrs.evolve(receipt, ref=wire.ref(message.to.address))


@pytest.mark.parametrize(
    "faulty, finder",
    [
        (_SendingTwiceVendor, "a_notification_arrives_in_full"),
        (_KeylessVendor, "a_key_sends_once"),
        (_FailureIsSuccessVendor, "a_refusal_has_its_type"),
        (_UnknownIsSuccessVendor, "a_doubtful_outcome_is_unknown"),
        (_OneErrorClassVendor, "a_refusal_has_its_type"),
        (_LosesDataVendor, "a_notification_arrives_in_full"),
        (_AlwaysHighPriorityVendor, "silence_and_urgency_are_kept"),
        (_ReceiptsShowRecipientVendor, "nothing_shows_secrets"),
    ],
)
def test_a_faulty_vendor_is_found(faulty: type[Firebase], finder: str) -> None:
    """Each faulty vendor fails the check for its fault."""

    def subject() -> kit.PushSubject:
        subject = push_subjects.firebase()
        sandbox: Any = subject.sandbox
        return attrs.evolve(subject, vendor=faulty(credentials=sandbox.key_file()))

    check = next(check for check in kit.CHECKS if check.__name__ == finder)
    with pytest.raises(AssertionError):
        check(subject)
