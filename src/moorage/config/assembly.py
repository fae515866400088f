"""The ports that a configuration names, and everything that speaks against a hub of its parts.

`moorage.open` and `moorage check` both go through here, so they refuse the same configurations. All
problems are noted in one report, those of reading included.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.config.default_state import prepare
from moorage.config.problems import Wrong, key
from moorage.domain.http.urls import origin_of
from moorage.domain.service.plan import Plan
from moorage.parts.webhook_verifier import WebhookVerifier
from moorage.wiring.accounts import clients_of, place_of, services_of
from moorage.wiring.catalog import KINDS
from moorage.wiring.defaults import memory_storage
from moorage.wiring.store_urls import (
    aopen_credentials,
    aopen_log,
    aopen_storage,
    aopen_tenants,
    open_credentials,
    open_log,
    open_storage,
    open_tenants,
)
from moorage.wiring.suitable import check_money, check_steps, check_tls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from moorage.config.configured import Configured, Parts
    from moorage.config.problems import Report
    from moorage.contracts.routes import Account
    from moorage.domain.http.outgoing import OutgoingGuard
    from moorage.domain.service.settings import Service

_OPENERS: Final[Mapping[bool, tuple[Callable[..., Any], ...]]] = {
    False: (open_storage, open_tenants, open_credentials, open_log),
    True: (aopen_storage, aopen_tenants, aopen_credentials, aopen_log),
}


@attrs.frozen(kw_only=True)
class Assembled:
    """The ports of a hub, and which of them the hub closes.

    Attributes:
        ports: what the program gave, and what the configuration names in its absence.
        owned: those that were opened here.
    """

    ports: dict[str, Any]
    owned: tuple[Any, ...]


def assemble(parts: Parts, given: Mapping[str, Any], *, awaited: bool, complete: bool) -> Assembled:
    """Open what a configuration names, and note everything that speaks against a hub of it.

    Opening does no input or output, except for files of certificates.

    Args:
        parts: the parts that could be read, and the report of what is wrong.
        given: the ports that the program gave, which take the place of what is named.
        awaited: whether the hub is asynchronous.
        complete: whether a service is refused whose credentials nobody knows.
    """
    found, report = parts.configured, parts.report
    storage, tenants, credentials, log = _OPENERS[awaited]
    ports, owned = dict(given), list[Any]()

    def opened(port: str, make: Callable[[], Any], path: str = "", *, closes: bool = True) -> None:
        made = report.made(make, path)
        if not isinstance(made, Wrong):
            ports[port] = made
            if closes:
                owned.append(made)

    url = found.state if "claims" in given else found.store
    # The file that stands in for a store is named after the environment.
    named = found.state is not None or report.clear("state")
    if "state" not in given and url is not None and named:
        opened("state", partial(_storage, storage, url, own=found.state is not None))
    if "tenants" not in given and found.tenants_from is not None:
        asked = found.tenants_from
        opened("tenants", partial(tenants, asked.url.reveal(), asked.keys), closes=False)
    if "credentials" not in given and found.credentials_from is not None:
        store = found.credentials_from
        make = partial(credentials, store.url.reveal(), store.keys)
        opened("credentials", make, closes=False)
    if "log" not in given and found.log is not None:
        made_of = {} if found.log == "memory:" else {"create": True}
        opened("log", partial(log, found.log, **made_of))
    if "http" not in given and found.http is not None:
        opened("http", partial(found.http.client, awaited=awaited), "http")
    check_parts(parts, ports, complete=complete)
    return Assembled(ports=ports, owned=tuple(owned))


def _storage(storage: Callable[..., Any], url: str, *, own: bool) -> Any:
    """The store that is named, or the file that is used where money moves and none is."""
    if not own:
        prepare(url)
    return storage(url)


def check_parts(parts: Parts, ports: Mapping[str, Any], *, complete: bool) -> None:
    """Note what a hub with these ports would refuse, and what could never work in it.

    Args:
        parts: the parts that could be read, and the report of what is wrong.
        ports: the ports of the hub.
        complete: whether a service is refused whose credentials nobody knows.
    """
    found, report = parts.configured, parts.report
    accounts = (*found.accounts, *parts.accounts)
    services = (*found.services, *parts.services)
    checks = _Checks(parts, ports, complete=complete and ports.get("credentials") is None)
    for account in accounts:
        checks.account(account)
    for service in services:
        checks.service(service, f"services.{key(service.name)}")
    for account in found.accounts:
        _check_webhooks(account, report)
    _check_choice(accounts, found, report)


class _Checks:
    """Checks of services, each noted where it stands.

    Args:
        parts: the parts of the configuration.
        ports: the ports of the hub.
        complete: whether a service is noted whose credentials nobody knows.
    """

    def __init__(self, parts: Parts, ports: Mapping[str, Any], *, complete: bool) -> None:
        found = parts.configured
        self._report = parts.report
        self._http = ports.get("http")
        self._claims = ports.get("claims") or ports.get("state") or memory_storage()
        self._complete = complete
        self._guard: OutgoingGuard | None = None
        if found.http is not None:
            self._guard = found.http.options.get("guard")

    def account(self, account: Account) -> None:
        """Check the services of an account."""
        place = place_of(account)
        made = self._report.made(partial(services_of, (account,)), "")
        if isinstance(made, Wrong):
            return
        tokens = clients_of((account,))
        for service in made:
            self._sending(service, place)
            if service.name not in tokens:
                self._credentials(service, place)

    def service(self, service: Service, place: str) -> None:
        """Check a service that is no account's."""
        self._sending(service, place)
        self._credentials(service, place)
        for number, endpoint in enumerate(service.endpoints):
            at = f"{place}.endpoints[{number}]"
            if self._report.clear(at):
                self._report.made(partial(Plan, service, None, endpoint), at)
        if service.base_url is None and not service.regions:
            self._addressless(service, place)

    def _sending(self, service: Service, place: str) -> None:
        """Note money that would move twice or in clear, and what the HTTP client cannot do."""
        report, places = self._report, {service.name: place}
        if report.clear(f"{place}.volatile_keys") and report.clear("state"):
            report.made(partial(check_money, (service,), self._claims, places), "")
        if report.clear(f"{place}.base_url") and report.clear(f"{place}.regions"):
            report.made(partial(check_tls, (service,), places), "")
            self._destination(service, place)
        report.made(partial(check_steps, (service,), self._http, places), "")
        if report.clear(place):
            report.made(partial(Plan, service, None, None), place)

    def _destination(self, service: Service, place: str) -> None:
        """Note a service whose every request the guard of the HTTP client would refuse."""
        origin = None if service.base_url is None else origin_of(service.base_url)
        if self._guard is None or origin is None:
            return
        scheme, host, port = origin
        objection = self._guard.objection(host, port, secure=scheme == "https")
        if objection is not None:
            self._report.add(
                f"{place}.base_url",
                f"the host {objection} under [http.guard].",
                "Allow it there, or correct the URL.",
            )

    def _credentials(self, service: Service, place: str) -> None:
        """Note a service whose every call would fail, as nobody knows its credentials."""
        at = f"{place}.credentials"
        if not self._complete or not service.needs_credentials or not self._report.clear(at):
            return
        self._report.add(
            at,
            "there are no credentials here, and no store of credentials is named.",
            'Write credentials = "secret://env/NAME", name a store under [credentials_from], or'
            " give `credentials=` to moorage.open.",
        )

    def _addressless(self, service: Service, place: str) -> None:
        """Note settings of requests where there is no address that a request could go to."""
        settings = {
            "credentials": service.credentials is not None,
            "needs_credentials": service.needs_credentials,
            "headers": bool(service.headers.pairs),
            "endpoints": any(one.path is not None for one in service.endpoints),
        }
        given = [name for name, there in settings.items() if there]
        if (
            given
            and self._report.clear(f"{place}.base_url")
            and self._report.clear(f"{place}.regions")
        ):
            self._report.add(
                f"{place}.base_url",
                f"this is missing, and {given[0]} are for requests, which need an address.",
                "Write the URL, such as https://api.example.",
            )


def _check_webhooks(account: Account, report: Report) -> None:
    """Note secrets with which no webhook of the account could be verified."""
    place = f"{place_of(account)}.webhook_secrets"
    if not account.webhook_secrets or report.lacks(place):
        return
    vendor = account.vendor
    if vendor.webhook is None:
        report.add(
            place,
            f"{vendor.name} sends no webhooks that could be verified.",
            "Leave the secrets out, and ask the vendor for the state of things instead.",
        )
        return
    make = partial(
        WebhookVerifier, name=account.name, secrets=account.webhook_secrets, **vendor.verifying()
    )
    report.made(make, place, exact=True)


def _check_choice(accounts: Iterable[Account], found: Configured, report: Report) -> None:
    """Note a kind that several accounts fill for everybody, where no route says which."""
    for kind in KINDS:
        names = [one.name for one in accounts if kind in one.vendor.kinds and one.tenants is None]
        if len(names) > 1 and not any(route.kind == kind for route in found.routes):
            report.add(
                kind,
                f"several accounts could do {kind}, and no route says which: {', '.join(names)}.",
                f"Write [{kind}] with vendor = one of them, or a list in the order of trying.",
            )
