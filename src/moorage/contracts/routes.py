"""Which account an operation goes to: the configured accounts, the rules, and the choice."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.kinds import OneOf
from moorage.contracts.ref import Ref
from moorage.contracts.vendor import Vendor, no_options
from moorage.domain.frames import careful
from moorage.domain.secret import Secret, as_secrets
from moorage.errors import ConfigurationError, InvalidData, UnsupportedByVendor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_ANY: Final[frozenset[str]] = frozenset()


class Prefer(OneOf, field="prefer"):
    """In what order the accounts of a route are tried."""

    ORDER = "order"
    COST = "cost"


def _names(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _some(value: str | Iterable[str] | None) -> frozenset[str] | None:
    return None if value is None else frozenset(_names(value))


def _codes(value: str | Iterable[str]) -> frozenset[str]:
    return frozenset(code.upper() for code in _names(value))


def _is_vendor(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, Vendor):
        raise ConfigurationError(
            f"a {type(value).__name__} is not a vendor.",
            path=attribute.name,
            remedy="Give a vendor, such as Twilio(account_sid=..., credentials=...).",
        )


def _price(value: Decimal | str | int | None) -> Decimal | None:
    price = None if value is None else Decimal(value)
    if price is not None and not price.is_finite():
        raise ConfigurationError(
            "this is no price.", path="cost", remedy="Give a number, such as '0.079'."
        )
    return price


@careful
@attrs.frozen
class Account:
    """An account of ours at a vendor.

    Attributes:
        name: what routes and references call it; usually the vendor's name.
        vendor: the vendor with its options.
        tenants: who may use it; None is everybody.
        cost: what an operation costs there, for routes that prefer the cheapest.
        webhook_secrets: what its webhooks are signed with, the newest first.
        settings: fields of `Service` that its services get instead of the vendor's, such as
            `timeout`, `limits` or `retry`.
    """

    name: str
    vendor: Vendor = attrs.field(validator=_is_vendor)
    tenants: frozenset[str] | None = attrs.field(default=None, converter=_some, kw_only=True)
    cost: Decimal | None = attrs.field(default=None, converter=_price, kw_only=True)
    webhook_secrets: tuple[Secret, ...] = attrs.field(
        default=(), converter=as_secrets, kw_only=True
    )
    settings: Mapping[str, Any] = attrs.field(factory=no_options, kw_only=True, repr=False)

    def __attrs_post_init__(self) -> None:
        """Refuse a name that no reference could carry."""
        Ref(self.vendor.name, self.name, "1")

    def open_to(self, tenant: str | None) -> bool:
        """Whether this tenant may use it."""
        return self.tenants is None or tenant in self.tenants


@attrs.frozen
class Route:
    """Where operations of a kind go: the accounts in the order in which they are tried.

    A route of a tenant comes before those for everybody, and one with rules before one without.

    Attributes:
        kind: the contract, such as "payments".
        accounts: their names.
        tenant: whose operations it is for; None is everybody's.
        countries, currencies: which operations it is for; none named is all.
        prefer: the order of trying: as named, or the cheapest first.
    """

    kind: str
    accounts: tuple[str, ...] = attrs.field(converter=_names)
    tenant: str | None = attrs.field(default=None, kw_only=True)
    countries: frozenset[str] = attrs.field(default=_ANY, converter=_codes, kw_only=True)
    currencies: frozenset[str] = attrs.field(default=_ANY, converter=_codes, kw_only=True)
    prefer: Prefer = attrs.field(default=Prefer.ORDER, converter=Prefer, kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Refuse a route to nowhere."""
        if not self.accounts:
            raise ConfigurationError(
                f"The route for {self.kind} names no account.",
                path="vendor",
                remedy="Name at least one account.",
            )

    def fits(self, asked: Asked) -> bool:
        """Whether it is for such an operation."""
        return (
            self.kind == asked.kind
            and self.tenant in (None, asked.tenant)
            and (not self.countries or asked.country in self.countries)
            and (not self.currencies or asked.currency in self.currencies)
        )

    @property
    def strictness(self) -> tuple[bool, int]:
        """The more, the sooner it is taken."""
        return self.tenant is not None, bool(self.countries) + bool(self.currencies)


@attrs.frozen(kw_only=True)
class Asked:
    """What is known of an operation before somebody is chosen for it.

    Attributes:
        kind: the contract.
        operation: its name there.
        tenant: whose it is.
        needs: the capabilities it takes.
        country, currency: what routes may go by, in capitals.
        effect: whether it brings something about, where its name alone does not tell.
    """

    kind: str
    operation: str
    tenant: str | None = None
    needs: frozenset[str] = _ANY
    country: str | None = None
    currency: str | None = None
    effect: bool | None = None


class Directory:
    """Every account and every route, checked against each other.

    Args:
        accounts: the accounts.
        routes: the rules. A kind without a route goes to the one account that fills it.
        able: names the vendors that fill a kind with these capabilities, configured or not.
    """

    def __init__(
        self,
        accounts: Iterable[Account],
        routes: Iterable[Route] = (),
        able: Callable[[str, frozenset[str]], tuple[str, ...]] = lambda _, __: (),
    ) -> None:
        self.accounts: dict[str, Account] = {}
        for account in accounts:
            if account.name in self.accounts:
                raise ConfigurationError(
                    f"Two accounts are named {account.name!r}.",
                    path="accounts",
                    remedy="Give each account a name of its own.",
                )
            self.accounts[account.name] = account
        self._able = able
        self.routes = sorted(routes, key=lambda route: route.strictness, reverse=True)
        for route in self.routes:
            self._check(route)

    def knows(self, tenant: str) -> bool:
        """Whether an account or a route is this tenant's."""
        return any(tenant in (one.tenants or ()) for one in self.accounts.values()) or any(
            route.tenant == tenant for route in self.routes
        )

    def choose(self, asked: Asked) -> tuple[Account, ...]:
        """The accounts to try, in order; each can do it.

        Raises:
            UnsupportedByVendor: no account that it may go to can; it names who can.
            ConfigurationError: no account is configured for it.
        """
        open_to = self._open_to(asked)
        chosen = tuple(one for one in open_to if asked.needs <= one.vendor.capabilities)
        if chosen:
            return chosen
        raise self._unsupported(asked, open_to)

    def find(self, ref: Ref | str, asked: Asked) -> tuple[Account, Ref]:
        """The account that a thing belongs to, whatever the routes say.

        Raises:
            InvalidData: the reference is none of this tenant's.
            UnsupportedByVendor: the vendor cannot do it.
        """
        ref = Ref.parse(ref)
        account = self.accounts.get(ref.account)
        if account is None or account.vendor.name != ref.vendor:
            raise InvalidData(
                f"There is no account {ref.account!r} of {ref.vendor} that this could belong to.",
                field="ref",
                remedy="Keep an account configured as long as things of it are in use.",
            )
        if asked.kind not in account.vendor.kinds or not account.open_to(asked.tenant):
            raise InvalidData(
                f"A reference of the account {account.name!r} is none for {asked.kind} here.",
                field="ref",
                remedy="Use it with the contract and the tenant that it came from.",
            )
        if not asked.needs <= account.vendor.capabilities:
            raise self._unsupported(asked, (account,))
        return account, ref

    def _open_to(self, asked: Asked) -> tuple[Account, ...]:
        route = next((route for route in self.routes if route.fits(asked)), None)
        if route is None:
            names = [one.name for one in self.accounts.values() if asked.kind in one.vendor.kinds]
        else:
            names = list(route.accounts)
        accounts = [self.accounts[name] for name in names]
        accounts = [one for one in accounts if one.open_to(asked.tenant)]
        if not accounts or (route is None and len(accounts) > 1):
            several = ", ".join(one.name for one in accounts)
            raise ConfigurationError(
                f"Several accounts could do {asked.kind}: {several}."
                if accounts
                else f"No account is configured for {asked.kind}{_of(asked.tenant)}.",
                path=f"{asked.kind}.vendor",
                remedy="Say which account it goes to.",
            )
        if route is not None and route.prefer is Prefer.COST:
            accounts.sort(key=lambda one: (one.cost is None, one.cost or 0))
        return tuple(accounts)

    def _unsupported(self, asked: Asked, accounts: tuple[Account, ...]) -> UnsupportedByVendor:
        lacks = sorted(asked.needs - accounts[0].vendor.capabilities)
        able = self._able(asked.kind, asked.needs)
        error = UnsupportedByVendor(
            f"{', '.join(one.vendor.name for one in accounts)} cannot do this"
            f" ({', '.join(lacks)}).",
            capabilities=tuple(lacks),
            able=able,
            service=accounts[0].name,
            operation=asked.operation,
        )
        if able:
            error.remedy = f"Configure a vendor that can: {', '.join(able)}."
        return error

    def _check(self, route: Route) -> None:
        for name in route.accounts:
            account = self.accounts.get(name)
            if account is None or route.kind not in account.vendor.kinds:
                known = [
                    one.name for one in self.accounts.values() if route.kind in one.vendor.kinds
                ]
                raise ConfigurationError(
                    f"{name!r} is no account for {route.kind}.",
                    path=f"{route.kind}.vendor",
                    remedy=f"Use one of: {', '.join(sorted(known)) or 'none is configured'}.",
                )
            if not account.open_to(route.tenant):
                raise ConfigurationError(
                    f"The account {name!r} is not open to {route.tenant or 'everybody'}.",
                    path=f"{route.kind}.vendor",
                    remedy="Name the tenant in the route, or open the account to it.",
                )


def _of(tenant: str | None) -> str:
    return "" if tenant is None else f" of {tenant}"
