"""Helpers for tests of lost payments: vendors with and without keys, and dying processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest

from moorage import Hub
from moorage.adapters.state.memory import MemoryStorage
from moorage.contracts.payments import Charge, Money, PaymentsCapability
from moorage.contracts.routes import Account
from moorage.contracts.vendor import UnknownOutcome
from moorage.errors import ConnectionFailed, OutcomeUnknown
from moorage.testing import VirtualClock, VirtualSleeper
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage.vendors.payments.stripe import Stripe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.service.settings import Service


ORDER = Charge(Money("20.00", "EUR"), "pm_card_visa", reference="INV-7")
KEY = "INV-7/1"
WAIT = 60.0
"""Seconds after which no caller can still be working on a payment."""


@attrs.frozen(kw_only=True)
class KeylessStripe(Stripe):
    """Stripe without idempotency keys, so lost payments are looked up."""

    unknown_outcomes: ClassVar[Mapping[str, UnknownOutcome]] = dict.fromkeys(
        Stripe.unknown_outcomes, UnknownOutcome.LOOKED_UP
    )

    def services(self) -> Mapping[str, Service]:
        """Return the services, without idempotency keys."""
        services = super().services()
        return {
            name: attrs.evolve(
                service, idempotency_header=None, idempotency_memory=None, honours_keys=False
            )
            for name, service in services.items()
        }


class UnlistedStripe(KeylessStripe):
    """Stripe without support for listing payments or looking them up."""

    capabilities: ClassVar[frozenset[str]] = frozenset(PaymentsCapability) - {
        PaymentsCapability.LIST,
        PaymentsCapability.LOOK_UP,
        PaymentsCapability.LOOK_UP_REFUND,
    }


@attrs.frozen(kw_only=True)
class UnrepeatedStripe(Stripe):
    """Stripe as a vendor whose payments are never repeated automatically."""

    unknown_outcomes: ClassVar[Mapping[str, UnknownOutcome]] = dict.fromkeys(
        Stripe.unknown_outcomes, UnknownOutcome.LOOKED_UP
    )


class PaymentsHarness:
    """A fake Stripe server, a store and virtual time."""

    def __init__(self, kind: type[Stripe] = Stripe, **settings: Any) -> None:
        self.clock = VirtualClock()
        self.stripe = StripeSandbox(now=lambda: self.clock.utc().timestamp())
        self.state = MemoryStorage(self.clock)
        self.kind = kind
        self.settings = {"volatile_keys": True, "circuit": None, "retry": None, **settings}

    def hub(self, **ports: Any) -> Hub:
        """Return a new hub with the shared store, as another process would open."""
        vendor = self.kind(credentials=self.stripe.api_key)
        return Hub(
            [Account("till", vendor, settings=self.settings)],
            **dict[str, Any](
                http=SandboxHttpClient(self.stripe),
                state=self.state,
                clock=self.clock,
                sleeper=VirtualSleeper(self.clock),
            )
            | ports,
        )

    def lose(self, hub: Hub, charge: Charge = ORDER, key: str = KEY) -> None:
        """Charge once, and lose the vendor's response."""
        self.stripe.fail(Lost())
        with pytest.raises((OutcomeUnknown, ConnectionFailed)):
            hub.payments().charge(charge, idempotency_key=key)


class KilledError(BaseException):
    """The exception that is raised where a real process would be killed."""


class DyingStore:
    """A store that kills its process before a chosen command."""

    def __init__(self, state: MemoryStorage, *at: str) -> None:
        self._state = state
        self._at = at
        self.dead = False

    def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Run the command, unless the process dies."""
        self._die(command)
        return self._state.execute(command, timeout)

    def post(self, command: Any, /) -> None:
        """Post the command, unless the process dies."""
        self._die(command)
        self._state.post(command)

    def _die(self, command: Any) -> None:
        kind = command.keys[0].partition("}:")[2].partition(":")[0]
        self.dead = self.dead or (type(command).__name__, kind) == self._at
        if self.dead:
            raise KilledError
