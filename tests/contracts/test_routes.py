"""Routes decide the account for an operation."""

from decimal import Decimal
from typing import Any

import pytest

from moorage import Account, ConfigurationError, InvalidData, Ref, Route, UnsupportedByVendor
from moorage.contracts.routes import Directory, Prefer, RoutingRequest
from moorage.contracts.sms import SmsCapability
from moorage.vendors.payments.stripe import Stripe
from moorage.vendors.sms.twilio import Twilio
from tests.contracts.external_sms_vendor import TextMessageVendor

TWILIO = Twilio(account_sid="AC" + "0" * 32)


def account(name: str, **options: Any) -> Account:
    """Return an account at the fictional vendor."""
    return Account(name, TextMessageVendor(), **options)


def chosen_accounts(directory: Directory, **fields: Any) -> list[str]:
    """Return the accounts that an operation would try, in order."""
    request = RoutingRequest(kind="sms", operation="send", **fields)
    return [item.name for item in directory.choose(request)]


def test_hub_with_single_account_needs_no_route() -> None:
    """A hub with a single account needs no route."""
    assert ["a"] == chosen_accounts(Directory([account("a")]))


def test_several_accounts_need_a_route() -> None:
    """A hub with several accounts needs a route."""
    with pytest.raises(ConfigurationError, match="Several accounts can do sms: a, b"):
        chosen_accounts(Directory([account("a"), account("b")]))


def test_hub_without_accounts_refuses_operations() -> None:
    """A hub without accounts refuses operations."""
    with pytest.raises(ConfigurationError, match="No account is configured for sms of acme"):
        chosen_accounts(Directory([]), tenant="acme")


def test_accounts_are_tried_in_order() -> None:
    """Accounts are tried in the order of the route."""
    directory = Directory([account("a"), account("b")], [Route("sms", ["b", "a"])])

    assert ["b", "a"] == chosen_accounts(directory)


@pytest.mark.parametrize("cost", ["cheap", "-1", "NaN", object()])
def test_cost_must_be_a_price(cost: Any) -> None:
    """A route's cost that is not a price is refused, and the error names the wrong value."""
    with pytest.raises(ConfigurationError, match="The cost must be a number"):
        account("a", cost=cost)


def test_cheapest_account_first() -> None:
    """A route can sort its accounts by cost; accounts with unknown costs come last."""
    accounts = [account("a"), account("b", cost="0.07"), account("c", cost=Decimal("0.05"))]
    directory = Directory(accounts, [Route("sms", ["a", "b", "c"], prefer=Prefer.COST)])

    assert ["c", "b", "a"] == chosen_accounts(directory)


def test_most_specific_route_is_used() -> None:
    """A tenant's own route is chosen first, then the route with more conditions."""
    accounts = [account(name) for name in "abcd"]
    directory = Directory(
        accounts,
        [
            Route("sms", "a"),
            Route("sms", "b", countries=["de"]),
            Route("sms", "d", tenant="acme"),
        ],
    )

    assert ["a"] == chosen_accounts(directory)
    assert ["a"] == chosen_accounts(directory, country="FR")
    assert ["b"] == chosen_accounts(directory, country="DE")
    assert ["d"] == chosen_accounts(directory, country="DE", tenant="acme")
    assert ["b"] == chosen_accounts(directory, country="DE", tenant="other")


def test_route_with_more_conditions_is_used() -> None:
    """Of two matching routes, the one with more conditions is used."""
    stripe = Stripe(credentials="sk_test_1")
    directory = Directory(
        [Account("b", stripe), Account("c", stripe)],
        [
            Route("payments", "b", countries="DE"),
            Route("payments", "c", countries="DE", currencies=("EUR",)),
        ],
    )

    for currency, account_name in (("EUR", "c"), ("USD", "b")):
        request = RoutingRequest(
            kind="payments", operation="charge", country="DE", currency=currency
        )
        assert [account_name] == [item.name for item in directory.choose(request)]


@pytest.mark.parametrize(
    "kind, conditions",
    [
        ("sms", {"currencies": "EUR"}),
        ("shipping", {"currencies": "EUR"}),
        ("email", {"countries": "DE"}),
        ("email", {"currencies": "EUR"}),
        ("storage", {"countries": "DE"}),
        ("storage", {"currencies": "EUR"}),
    ],
)
def test_conditions_that_no_operation_meets_are_refused(
    kind: str, conditions: dict[str, Any]
) -> None:
    """A route with a condition that no operation of its contract can meet is refused."""
    with pytest.raises(ConfigurationError, match=f"No operation of {kind} has a") as excinfo:
        Route(kind, "a", **conditions)

    assert [*conditions] == [excinfo.value.path]


def test_mistaken_country_codes_are_refused() -> None:
    """A route's country code that does not exist is refused, with a hint for common mistakes."""
    for code in ("XX", "Germany", "D1"):
        with pytest.raises(ConfigurationError, match="two letters"):
            Route("sms", "a", countries=code)
    with pytest.raises(ConfigurationError, match="Give GB, the code of ISO 3166"):
        Route("sms", "a", countries="UK")


def test_unable_accounts_are_skipped() -> None:
    """An account whose vendor lacks a capability is skipped."""
    directory = Directory([account("a"), Account("t", TWILIO)], [Route("sms", ["a", "t"])])

    assert ["a", "t"] == chosen_accounts(directory)
    assert ["t"] == chosen_accounts(directory, needs=frozenset({SmsCapability.MEDIA}))


def test_refusal_names_the_missing_capability() -> None:
    """The error for a missing capability names it, and the vendors that have this capability."""
    directory = Directory(
        [account("a")], supported_by=lambda kind, needs: (f"{kind}-{len(needs)}",)
    )

    with pytest.raises(
        UnsupportedByVendor, match=r"pigeon cannot do this operation \(media\)"
    ) as excinfo:
        chosen_accounts(directory, needs=frozenset({SmsCapability.MEDIA}))

    assert ("media",) == excinfo.value.capabilities
    assert ("sms-1",) == excinfo.value.supported_by
    assert "sms-1" in excinfo.value.remedy


def test_refusal_without_an_able_vendor() -> None:
    """If no vendor has a capability, the error suggests no vendor."""
    with pytest.raises(UnsupportedByVendor) as excinfo:
        chosen_accounts(Directory([account("a")]), needs=frozenset({"fly"}))

    assert () == excinfo.value.supported_by
    assert "Configure a vendor that has this capability." == excinfo.value.remedy


def test_account_closed_to_a_tenant() -> None:
    """An account that a tenant may not use is skipped for that tenant."""
    directory = Directory(
        [account("a"), account("b", tenants=["acme"])], [Route("sms", "b", tenant="acme")]
    )

    assert ["a"] == chosen_accounts(directory)
    assert ["b"] == chosen_accounts(directory, tenant="acme")


def test_operation_on_a_reference_uses_its_account() -> None:
    """An operation on a reference uses the reference's account, even if routes choose another."""
    directory = Directory([account("a"), account("b")], [Route("sms", "b")])
    request = RoutingRequest(kind="sms", operation="get")

    assert "a" == directory.find("pigeon:a:1", request)[0].name
    assert Ref("pigeon", "a", "1") == directory.find("pigeon:a:1", request)[1]


@pytest.mark.parametrize(
    "ref, kind, tenant",
    [
        ("pigeon:gone:1", "sms", None),
        ("twilio:a:1", "sms", None),
        ("pigeon:a:1", "email", None),
        ("pigeon:b:1", "sms", None),
        ("pigeon:b:1", "sms", "other"),
    ],
)
def test_foreign_references_are_refused(ref: str, kind: str, tenant: str | None) -> None:
    """A reference to another account, contract or tenant is refused."""
    directory = Directory([account("a"), account("b", tenants=["acme"])], [Route("sms", "a")])

    with pytest.raises(InvalidData):
        directory.find(ref, RoutingRequest(kind=kind, operation="get", tenant=tenant))


def test_references_vendor_must_be_able() -> None:
    """The vendor of a reference must have the capability for the operation."""
    request = RoutingRequest(
        kind="sms", operation="cancel", needs=frozenset({SmsCapability.CANCEL})
    )

    with pytest.raises(UnsupportedByVendor):
        Directory([account("a")]).find("pigeon:a:1", request)


@pytest.mark.parametrize(
    "route, match",
    [
        (Route("sms", "nobody"), "'nobody' is not the name of an account for sms"),
        (Route("email", "a"), "'a' is not the name of an account for email"),
        (Route("sms", "b"), "A route of all tenants may not use"),
        (Route("sms", "b", tenant="other"), "tenant 'other' may not use"),
    ],
    ids=["unknown", "another kind", "closed", "closed to the tenant"],
)
def test_unusable_routes_are_refused(route: Route, match: str) -> None:
    """A route that could never work is refused before anything is sent."""
    with pytest.raises(ConfigurationError, match=match):
        Directory([account("a"), account("b", tenants=["acme"])], [route])


def test_invalid_routes_and_accounts_are_refused() -> None:
    """Invalid routes, accounts and names are refused at construction."""
    wrong_vendor: Any = "twilio"
    with pytest.raises(ConfigurationError, match="does not name an account"):
        Route("sms", ())
    with pytest.raises(ConfigurationError, match="must be a Vendor, not a str"):
        Account("a", wrong_vendor)
    with pytest.raises(InvalidData):
        account("No Name")
    with pytest.raises(ConfigurationError, match="Two accounts are named 'a'"):
        Directory([account("a"), account("a")])


@pytest.mark.parametrize("wrong", [7, [None], b"DE"])
@pytest.mark.parametrize("name", ["accounts", "countries", "currencies"])
def test_names_of_a_route_must_be_texts(name: str, wrong: Any) -> None:
    """A route refuses a list of names that contains anything but texts."""
    options: dict[str, Any] = {"accounts": ["main"], name: wrong}

    with pytest.raises(ConfigurationError, match=f"The {name} are not strings") as excinfo:
        Route("payments", **options)

    assert excinfo.value.path == name
