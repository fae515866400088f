"""Lost payments at a vendor without idempotency keys are looked up, and never repeated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import attrs
import pytest

from moorage.contracts.payments import Charge, Money, PaymentsCapability, Unsettled, buyer_notice
from moorage.contracts.routes import Account
from moorage.errors import ConfigurationError, OutcomeUnknown
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage.vendors.payments.stripe import Stripe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.service.settings import Service

START = datetime.now(UTC) - timedelta(minutes=1)
ORDER = Charge(Money("20.00", "EUR"), "pm_card_visa", reference="INV-7")


@attrs.frozen(kw_only=True)
class StripeWithoutKeys(Stripe):
    """A Stripe vendor that does not support idempotency keys."""

    def services(self) -> Mapping[str, Service]:
        """Return the API's service without idempotency keys."""
        services = super().services()
        return {
            name: attrs.evolve(service, idempotency_header=None)
            for name, service in services.items()
        }


class StripeWithoutLists(StripeWithoutKeys):
    """A Stripe vendor that cannot list payments."""

    capabilities = frozenset(PaymentsCapability) - {PaymentsCapability.LIST}


def hub_at(sandbox: StripeSandbox, kind: type[Stripe] = StripeWithoutKeys) -> Hub:
    """Return a hub with one account at a vendor of this class."""
    vendor = kind(credentials=sandbox.api_key)
    account = Account("till", vendor, settings={"volatile_keys": True, "circuit": None})
    return Hub([account], http=SandboxHttpClient(sandbox))


def lose_response(hub: Hub, sandbox: StripeSandbox, *faults: Lost) -> OutcomeUnknown:
    """Make a charge whose response is lost, and return the error."""
    sandbox.fail(*faults or (Lost(),))
    with pytest.raises(OutcomeUnknown) as excinfo:
        hub.payments().charge(ORDER, idempotency_key="INV-7/1")
    return excinfo.value


def test_lost_payment_is_found_by_its_reference() -> None:
    """A lost payment is found by its reference in the vendor's list of payments."""
    sandbox = StripeSandbox()
    with hub_at(sandbox) as hub:
        assert "unknown" == buyer_notice(lose_response(hub, sandbox)).outcome
        for number in range(60):
            other_charge = attrs.evolve(ORDER, reference=f"INV-1{number}")
            hub.payments().charge(other_charge, idempotency_key=f"INV-1{number}/1")

        lost_payment = Unsettled(charge=ORDER, idempotency_key="INV-7/1", since=START)
        [result] = hub.payments().settle([lost_payment])

        assert "captured" == result.unwrap().state
        assert "INV-7" == result.unwrap().reference
        assert 61 == len(sandbox.charges)


@pytest.mark.parametrize(
    "kind, since, taken",
    [(StripeWithoutLists, START, True), (StripeWithoutKeys, START, False)],
)
def test_payment_that_the_vendor_does_not_list_stays_unknown(
    kind: type[Stripe], since: datetime | None, *, taken: bool
) -> None:
    """A payment that the vendor does not list stays unknown."""
    sandbox = StripeSandbox()
    with hub_at(sandbox, kind) as hub:
        lose_response(hub, sandbox)
        if not taken:
            sandbox.intents.clear()

        lost_payment = Unsettled(charge=ORDER, idempotency_key="INV-7/1", since=since)
        [result] = hub.payments().settle([lost_payment])

        assert isinstance(result.error, OutcomeUnknown)
        assert 1 == len(sandbox.charges)


def test_hub_lists_the_accounts_of_the_payments_of_a_tenant() -> None:
    """A hub lists the accounts that a tenant's payments may go to."""
    sandbox = StripeSandbox()
    with hub_at(sandbox) as hub:
        assert ["till"] == [
            account.name for account in hub.chosen("payments", "acme", currency="EUR")
        ]
        with pytest.raises(ConfigurationError, match="email"):
            hub.chosen("email")
