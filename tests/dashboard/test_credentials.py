"""Renewal of a service's credentials on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage import CredentialRefreshFailed, Credentials, Hub, Service
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.dashboard import Dashboard, DashboardApp, Group, Person
from tests.dashboard.harness import ANN, SECRET, Trail, Visitor

if TYPE_CHECKING:
    from collections.abc import Callable

RENEW = "/acts/credentials-renew?service=vat"
FIRST, SECOND = Credentials.bearer("canary-first"), Credentials.bearer("canary-second")


def hub_with_credentials(store: MemoryCredentialProvider, trail: Trail) -> Hub:
    """Return a hub whose service `vat` has credentials in a store that can renew them."""
    services = [
        Service("vat", "http://127.0.0.1:9", needs_credentials=True),
        Service("plain", "http://127.0.0.1:9"),
    ]
    return Hub([], services=services, credentials=store, audit=trail)


def store_of(renew: Callable[..., Any]) -> MemoryCredentialProvider:
    """Return a store with credentials of a tenant, and others without a tenant."""
    return MemoryCredentialProvider({("vat", None): FIRST, ("vat", "acme"): FIRST}, renew=renew)


def visitor_of(hub: Hub, person: Person = ANN) -> Visitor:
    """Return a visitor of the operations page of a hub."""
    return Visitor(DashboardApp(Dashboard(hub, secret=SECRET), lambda _: person))


def test_person_renews_credentials() -> None:
    """A person can renew one tenant's credentials; the action is confirmed and recorded."""
    trail, store = Trail(), store_of(lambda *_: SECOND)
    with hub_with_credentials(store, trail) as hub:
        visitor = visitor_of(hub)
        assert "credentials-renew" in visitor.get("/service?service=vat").text
        assert "credentials-renew" not in visitor.get("/service?service=plain").text
        question = visitor.get(f"{RENEW}&tenant=acme").text
        assert "moorage requests new credentials of vat for acme" in question
        assert FIRST == store.get("vat", "acme")
        words = visitor.act(f"{RENEW}&tenant=acme", reason="leaked").text
        assert "The credentials of vat for acme were renewed." in words
        assert (FIRST, SECOND) == (store.get("vat", None), store.get("vat", "acme"))
        assert "The credentials of vat were renewed." in visitor.act(RENEW, reason="all").text
        assert SECOND == store.get("vat", None)
        assert [
            ("ann", "credentials.renew", "credentials of vat/acme", "leaked"),
            ("ann", "credentials.renew", "credentials of vat", "all"),
        ] == trail.records
        assert "canary" not in question + words + repr(trail.records)


def test_renewal_that_fails_keeps_the_credentials() -> None:
    """A failed renewal keeps the old credentials, and is reported and recorded as failed."""

    def refuse(*_: object) -> Credentials:
        raise CredentialRefreshFailed("The server is away.", service="vat")

    trail, store = Trail(), store_of(refuse)
    with hub_with_credentials(store, trail) as hub:
        assert "Not done. " in visitor_of(hub).act(RENEW, reason="leaked").text
        assert FIRST == store.get("vat", None)
        actions = [action for _, action, _, _ in trail.records]
        assert ["credentials.renew", "credentials.renew.failed"] == actions


def test_renewal_is_refused_for_service_that_is_unknown_or_has_no_credential_provider() -> None:
    """Renewal is refused for a service that is unknown or has no credential provider."""
    with hub_with_credentials(store_of(lambda *_: SECOND), Trail()) as hub:
        visitor = visitor_of(hub)
        assert 404 == visitor.get("/acts/credentials-renew?service=plain").status
        assert 404 == visitor.get("/acts/credentials-renew?service=nobody").status
        other_person = Person("olga", {Group.CIRCUITS}, "olga")
        assert 403 == visitor_of(hub, other_person).get(RENEW).status
