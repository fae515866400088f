"""Routing: accounts, rules, and the choice of the account for an operation."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.ref import Ref
from moorage.contracts.route_conditions import are_countries, are_currencies, check_conditions
from moorage.contracts.secret_forms import misplaced_secrets
from moorage.contracts.validators import OneOf
from moorage.contracts.vendor import Vendor, no_options
from moorage.domain.idempotency.claims import AS_USUAL, KeyUse
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.secret import Secret, as_secrets
from moorage.domain.values.frozen_values import Factory, field, fields_of, frozen, has_fields
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError, InvalidData, Problem, UnsupportedByVendor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import attrs

_MOST_SHARED: Final = 1024
"""Number of routing requests that are held."""
_ANY_NAME: Final[frozenset[str]] = frozenset()


class Prefer(OneOf, field="prefer"):
    """The order in which the accounts of a route are tried."""

    ORDER = "order"
    COST = "cost"


def _texts(value: str | Iterable[str], path: str) -> tuple[str, ...]:
    texts = value if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    names = tuple(texts)
    if not all(isinstance(name, str) for name in names):
        raise ConfigurationError(
            f"The {path} are not strings.",
            path=path,
            remedy="Give a string or a list of strings.",
        )
    return names


def _account_names(value: str | Iterable[str]) -> tuple[str, ...]:
    return _texts(value, "accounts")


def _tenant_names(value: str | Iterable[str] | None) -> frozenset[str] | None:
    return None if value is None else frozenset(_texts(value, "tenants"))


def _countries(value: str | Iterable[str]) -> frozenset[str]:
    return frozenset(code.upper() for code in _texts(value, "countries"))


def _currencies(value: str | Iterable[str]) -> frozenset[str]:
    return frozenset(code.upper() for code in _texts(value, "currencies"))


def _includes(members: frozenset[str], codes: frozenset[str]) -> bool:
    """Return whether a route's codes include all members; a route without codes includes all."""
    return not codes or (bool(members) and members <= codes)


def _is_vendor(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, Vendor):
        raise ConfigurationError(
            f"The {attribute.name} must be a Vendor, not {with_article(type(value).__name__)}.",
            path=attribute.name,
            remedy="Give a vendor, such as Twilio(account_sid=..., credentials=...).",
        )


def _price(value: Decimal | str | int | None) -> Decimal | None:
    if value is None:
        return None
    try:
        price = Decimal(value)
    except (ArithmeticError, TypeError, ValueError):
        price = None
    if price is None or not price.is_finite() or price < 0:
        raise ConfigurationError(
            "The cost must be a number of zero or more.",
            path="cost",
            remedy="Give a price, such as '0.079'.",
        )
    return price


@with_careful_constructor
@frozen
class Account:
    """A configured account at a vendor.

    Attributes:
        name: name in routes and references; usually the vendor's name.
        vendor: vendor with its options.
        tenants: tenants that may use it; None for all.
        cost: price of one operation, for routes that prefer the cheapest account.
        webhook_secrets: secrets that sign its webhooks, the newest first.
        settings: fields of `Service` that override the vendor's, such as `timeout`, `limits` or
            `retry`.
    """

    name: str
    vendor: Vendor = field(validator=_is_vendor)
    tenants: frozenset[str] | None = field(default=None, converter=_tenant_names, kw_only=True)
    cost: Decimal | None = field(default=None, converter=_price, kw_only=True)
    webhook_secrets: tuple[Secret, ...] = field(default=(), converter=as_secrets, kw_only=True)
    settings: Mapping[str, Any] = field(factory=no_options, kw_only=True, repr=False)

    def __attrs_post_init__(self) -> None:
        """Refuse a name that cannot be part of a reference, and secrets in the wrong setting."""
        Ref(self.vendor.name, self.name, "1")
        kind: type[Any] = type(self.vendor)
        options = [field.name for field in fields_of(kind)] if has_fields(kind) else []
        values = {name: getattr(self.vendor, name) for name in options}
        keys = {name: value for name, value in values.items() if isinstance(value, Secret)}
        problems = list(misplaced_secrets(self.vendor.name, keys, self.webhook_secrets))
        if problems:
            raise ConfigurationError.of(problems)

    def open_to(self, tenant: str | None) -> bool:
        """True if this tenant may use the account."""
        return self.tenants is None or tenant in self.tenants


@frozen
class Route:
    """A rule that lists the accounts to try for some operations, in order.

    A tenant's route precedes the routes for all tenants; a route with conditions precedes a route
    without.

    Attributes:
        kind: contract, such as "payments".
        accounts: names of the accounts.
        tenant: tenant whose operations it applies to; None for all.
        countries, currencies: codes of the operations that it applies to; empty for all.
        prefer: try accounts in the order of `accounts`, or the cheapest first.
    """

    kind: str
    accounts: tuple[str, ...] = field(converter=_account_names)
    tenant: str | None = field(default=None, kw_only=True)
    countries: frozenset[str] = field(
        default=_ANY_NAME, converter=_countries, validator=are_countries, kw_only=True
    )
    currencies: frozenset[str] = field(
        default=_ANY_NAME, converter=_currencies, validator=are_currencies, kw_only=True
    )
    prefer: Prefer = field(default=Prefer.ORDER, converter=Prefer, kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Refuse a route without accounts, with a repeated account, or impossible conditions."""
        if not self.accounts:
            raise ConfigurationError(
                f"The route for {self.kind} does not name an account.",
                path="vendor",
                remedy="Name at least one account.",
            )
        repeated_account = next(
            (account for account in self.accounts if self.accounts.count(account) > 1), None
        )
        if repeated_account is not None:
            raise ConfigurationError(
                f"The route for {self.kind} names the account {repeated_account!r} twice.",
                path="vendor",
                remedy="Name each account once, in the order in which moorage must try them.",
            )
        conditions = {"countries": self.countries, "currencies": self.currencies}
        check_conditions(self.kind, conditions)

    def fits(self, request: RoutingRequest) -> bool:
        """True if the route applies to this operation."""
        return (
            self.kind == request.kind
            and self.tenant in (None, request.tenant)
            and (not self.countries or request.country in self.countries)
            and (not self.currencies or request.currency in self.currencies)
        )

    def covers(self, later: Route) -> bool:
        """True if the route applies to all operations of a later route, which is then unused."""
        return (
            self.kind == later.kind
            and self.tenant == later.tenant
            and self.strictness == later.strictness
            and _includes(later.countries, self.countries)
            and _includes(later.currencies, self.currencies)
        )

    @property
    def strictness(self) -> tuple[bool, int]:
        """A sort key: routes with more specific conditions are greater."""
        return self.tenant is not None, bool(self.countries) + bool(self.currencies)


def missing_costs(route: Route, accounts: Sequence[Account]) -> Problem | None:
    """Return the problem of a route that prefers the cheapest account, if no account has a cost."""
    if route.prefer is not Prefer.COST or any(account.cost is not None for account in accounts):
        return None
    names = ", ".join(account.name for account in accounts)
    return Problem(
        "prefer",
        f"The route prefers the cheapest account, but none of its accounts has a cost: {names}.",
        "Give these accounts a cost, such as cost = 0.079, or remove `prefer`.",
    )


def _full_name(request: RoutingRequest) -> str:
    return f"{request.kind}.{request.operation}"


@frozen(kw_only=True)
class RoutingRequest:
    """The properties of an operation that determine the account it goes to.

    Attributes:
        kind: contract.
        operation: name of the operation in the contract.
        tenant: tenant that called it.
        needs: capabilities that the vendor must have.
        country, currency: codes in capitals that routes match.
        effect: True if it changes something at the vendor; None to derive it from the
            operation's name.
        use: use of its idempotency key.
        timeout: seconds that the caller allowed, if a part of them has passed already.
        full_name: the contract and the operation, such as "payments.charge".
    """

    kind: str
    operation: str
    tenant: str | None = None
    needs: frozenset[str] = _ANY_NAME
    country: str | None = None
    currency: str | None = None
    effect: bool | None = None
    use: KeyUse = AS_USUAL
    timeout: float | None = None
    full_name: str = field(
        default=Factory(_full_name, takes_self=True), init=False, repr=False, eq=False
    )


@lru_cache(maxsize=_MOST_SHARED)
def shared_request(  # noqa: PLR0917 - keywords would double the time of a look-up
    kind: str,
    operation: str,
    tenant: str | None,
    needs: frozenset[str],
    country: str | None,
    currency: str | None,
) -> RoutingRequest:
    """Return the request with these properties; equal requests share one cached object."""
    return RoutingRequest(
        kind=kind,
        operation=operation,
        tenant=tenant,
        needs=needs,
        country=country,
        currency=currency,
    )


class Directory:
    """All accounts and routes, checked against each other.

    Args:
        accounts: the accounts.
        routes: the rules; a kind without a route goes to the only account that fills it.
        supported_by: returns the names of the vendors, configured or not, that fill a kind with
            these capabilities.
    """

    def __init__(
        self,
        accounts: Iterable[Account],
        routes: Iterable[Route] = (),
        supported_by: Callable[[str, frozenset[str]], tuple[str, ...]] = lambda _, __: (),
    ) -> None:
        self.accounts: dict[str, Account] = {}
        for account in accounts:
            if account.name in self.accounts:
                raise ConfigurationError(
                    f"Two accounts are named {account.name!r}.",
                    path="accounts",
                    remedy="Give each account a different name.",
                )
            self.accounts[account.name] = account
        self._supported_by = supported_by
        self.routes = sorted(routes, key=lambda route: route.strictness, reverse=True)
        for route in self.routes:
            self._check(route)

    def knows(self, tenant: str) -> bool:
        """True if an account or a route belongs to this tenant."""
        return any(tenant in (account.tenants or ()) for account in self.accounts.values()) or any(
            route.tenant == tenant for route in self.routes
        )

    def choose(self, request: RoutingRequest) -> tuple[Account, ...]:
        """The accounts to try for an operation, in order; each has the needed capabilities.

        Raises:
            UnsupportedByVendor: none of the eligible accounts has them; the error names vendors
                that do.
            ConfigurationError: no account is configured for it.
        """
        open_to = self._open_to(request)
        chosen_accounts = [item for item in open_to if request.needs <= item.vendor.capabilities]
        if chosen_accounts:
            return tuple(chosen_accounts)
        raise self._unsupported(request, open_to)

    def find(self, ref: Ref | str, request: RoutingRequest) -> tuple[Account, Ref]:
        """The account that a reference names, regardless of the routes.

        Raises:
            InvalidData: the reference does not belong to an account of this tenant.
            UnsupportedByVendor: the vendor lacks a capability.
        """
        ref = Ref.parse(ref)
        account = self.accounts.get(ref.account)
        if account is None or account.vendor.name != ref.vendor:
            raise InvalidData(
                f"The reference belongs to the account {ref.account!r} of the vendor {ref.vendor},"
                " which is not configured for this tenant.",
                field="ref",
                remedy="Use the reference with the tenant for which it was created, and keep its"
                " account configured while the reference is in use.",
            )
        if request.kind not in account.vendor.kinds or not account.open_to(request.tenant):
            raise InvalidData(
                f"A reference of the account {account.name!r} cannot be used for {request.kind}.",
                field="ref",
                remedy="Use the reference with the service and the tenant for which it was"
                " created.",
            )
        if not request.needs <= account.vendor.capabilities:
            raise self._unsupported(request, (account,))
        return account, ref

    def _open_to(self, request: RoutingRequest) -> tuple[Account, ...]:
        route = self._route(request)
        if route is None:
            names = [
                account.name
                for account in self.accounts.values()
                if request.kind in account.vendor.kinds
            ]
        else:
            names = list(route.accounts)
        accounts = [self.accounts[name] for name in names]
        accounts = [account for account in accounts if account.open_to(request.tenant)]
        if not accounts or (route is None and len(accounts) > 1):
            account_names = ", ".join(account.name for account in accounts)
            raise ConfigurationError(
                f"Several accounts can do {request.kind}: {account_names}."
                if accounts
                else f"No account is configured for {request.kind}{_route_label(request.tenant)}.",
                path=f"{request.kind}.vendor",
                remedy="Name the account that moorage must use in a route.",
            )
        if route is not None and route.prefer is Prefer.COST:
            accounts.sort(key=lambda one: (one.cost is None, one.cost or 0))
        return tuple(accounts)

    def _route(self, request: RoutingRequest) -> Route | None:
        for route in self.routes:
            if route.fits(request):
                return route
        return None

    def _unsupported(
        self, request: RoutingRequest, accounts: tuple[Account, ...]
    ) -> UnsupportedByVendor:
        missing_capabilities = sorted(request.needs - accounts[0].vendor.capabilities)
        able_vendors = self._supported_by(request.kind, request.needs)
        error = UnsupportedByVendor(
            f"{', '.join(account.vendor.name for account in accounts)} cannot do this operation"
            f" ({', '.join(missing_capabilities)}).",
            capabilities=tuple(missing_capabilities),
            supported_by=able_vendors,
            service=accounts[0].name,
            operation=request.operation,
        )
        if able_vendors:
            error.remedy = f"Configure a vendor that can: {', '.join(able_vendors)}."
        return error

    def _check(self, route: Route) -> None:
        accounts = [self.accounts[name] for name in route.accounts if name in self.accounts]
        for name in route.accounts:
            account = self.accounts.get(name)
            if account is None or route.kind not in account.vendor.kinds:
                names = [
                    item.name for item in self.accounts.values() if route.kind in item.vendor.kinds
                ]
                raise ConfigurationError(
                    f"{name!r} is not the name of an account for {route.kind}.",
                    path=f"{route.kind}.vendor",
                    remedy=f"Use one of: {', '.join(sorted(names)) or 'none is configured'}.",
                )
            if not account.open_to(route.tenant):
                user = f"The tenant {route.tenant!r}" if route.tenant else "A route of all tenants"
                raise ConfigurationError(
                    f"{user} may not use the account {name!r}.",
                    path=f"{route.kind}.vendor",
                    remedy="Name a permitted tenant in the route, or permit this tenant in the"
                    " account.",
                )
        problem = missing_costs(route, accounts)
        if problem is not None:
            raise ConfigurationError(
                problem.found, path=f"{route.kind}.{problem.path}", remedy=problem.remedy
            )


def _route_label(tenant: str | None) -> str:
    return "" if tenant is None else f" of {tenant}"
