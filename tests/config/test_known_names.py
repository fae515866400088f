"""The service names that alerts, probes and objectives of a configuration may use."""

from __future__ import annotations

import pytest

from moorage.config.monitoring_checks import KnownNames


@pytest.mark.parametrize(
    "service, other_tenants, unknown",
    [
        ("vat", False, False),
        ("vatt", False, True),
        ("broken", False, False),
        ("broken.api", False, False),
        ("acme.stripe", False, True),
        ("acme.stripe", True, False),
        ("vatt", True, True),
    ],
)
def test_service_that_a_broken_account_may_have_is_not_reported_as_unknown(
    service: str, other_tenants: bool, unknown: bool
) -> None:
    """A service name that may belong to a broken or tenant's account is not reported as unknown."""
    names = KnownNames(
        services=frozenset({"vat"}), unreadable=frozenset({"broken"}), other_tenants=other_tenants
    )
    assert unknown is names.is_unknown(service)


def test_unclear_accounts_are_assumed_to_support_any_contract() -> None:
    """An account that is broken or belongs to other tenants is assumed to support any contract."""
    unreadable = KnownNames(services=frozenset(), unreadable=frozenset({"broken"}))
    tenants = KnownNames(services=frozenset(), other_tenants=True)

    assert unreadable.offers("sms", None)
    assert tenants.offers("sms", "acme")
    assert not tenants.offers("sms", None)
