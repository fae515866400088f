"""A synchronous or asynchronous token refresher with a fake server and credential store."""

# ruff: noqa: D102 - fakes, as typed as they need to be

from __future__ import annotations

import json
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from moorage import (
    AsyncOAuthTokenRefresher,
    Consent,
    CredentialNotFound,
    OAuthClient,
    OAuthCredentials,
    OAuthTokenRefresher,
    Response,
    RetryPolicy,
)
from tests.support.modes import AwaitedManager, Harness
from tests.support.virtual_ports import START

if TYPE_CHECKING:
    from moorage.domain.http.requests import Body

TOKENS = "https://login.example/token"
OWNER = ("crm", "acme")
PLAIN_RETRY = RetryPolicy(max_attempts=3, base_delay=1.0, jitter="none")


class Vault:
    """A credential store that a test can make fail."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self.kept: dict[tuple[str, str | None], Any] = {}
        self.reads = 0
        self.failures: deque[Exception | None] = deque()
        self.is_away: Exception | None = None

    async def get(self, service: str, tenant: str | None, /) -> Any:
        await self._harness.reach("before the vault is read")
        self.reads += 1
        self._fail()
        try:
            return self.kept[service, tenant]
        except KeyError:
            raise CredentialNotFound("There is none.", service=service) from None

    async def has(self, service: str, tenant: str | None, /) -> bool:
        return (service, tenant) in self.kept

    async def refresh(self, service: str, tenant: str | None, stale: Any, /) -> Any:
        return "refreshed", service, tenant, stale

    async def rotate(self, service: str, tenant: str | None, new: Any, /) -> None:
        await self._harness.reach("before the vault is written")
        self._fail(self.failures.popleft() if self.failures else None)
        self.kept[service, tenant] = new

    def _fail(self, failure: Exception | None = None) -> None:
        failure = failure or self.is_away
        if failure is not None:
            raise failure


def token(number: int, *, life: float | None = 3600.0, ago: float = 0.0) -> OAuthCredentials:
    """Return the test token of this number, issued this many seconds before the test's start."""
    issued_time = START - timedelta(seconds=ago)
    return OAuthCredentials(
        access_token=f"at-{number}",
        refresh_token=f"rt-{number}",
        issued_at=issued_time,
        expires_at=None if life is None else issued_time + timedelta(seconds=life),
    )


def token_response(number: int, **reports: object) -> Response:
    """Return a token response that grants the test token of this number."""
    members: dict[str, object] = {
        "access_token": f"at-{number}",
        "refresh_token": f"rt-{number}",
        "token_type": "Bearer",
        "expires_in": 3600,
        **reports,
    }
    written_members = {name: value for name, value in members.items() if value is not None}
    return json_response(written_members)


def json_response(result: object, status: int = 200, **headers: str) -> Response:
    """Return a response with a JSON body."""
    header_fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(
        status, {"Content-Type": "application/json", **header_fields}, json.dumps(result).encode()
    )


def form_fields(body: Body) -> dict[str, str]:
    """Return the fields of a form-encoded request body."""
    assert isinstance(body, bytes)
    return dict(parse_qsl(body.decode()))


class OAuthHarness:
    """A harness with a credential store, in which token refreshers are created."""

    def __init__(self, harness: Harness, stored: OAuthCredentials | None = None) -> None:
        self.harness = harness
        self.vendor = harness.vendor
        self.vault = Vault(harness)
        if stored is not None:
            self.vault.kept[OWNER] = stored

    def refresher(self, clients: Any = None, **options: Any) -> AwaitedManager:
        """Return a token refresher as a new process would create it."""
        harness = self.harness
        kind: Any = AsyncOAuthTokenRefresher if harness.is_awaited else OAuthTokenRefresher
        fields: dict[str, Any] = {
            "vault": harness.of_mode(self.vault),
            "storage": harness.state(),
            "http": harness.of_mode(harness.vendor),
            "retry": PLAIN_RETRY,
            "clock": harness.clock,
            "sleeper": harness.of_mode(harness.sleeper),
            "randomness": harness.chance,
            "locks": harness.of_mode(harness.locks),
            "observers": [harness.events.append],
            **options,
        }
        fields = {name: value for name, value in fields.items() if value is not None}
        return AwaitedManager(
            harness, kind({"crm": client()} if clients is None else clients, **fields)
        )

    def token_requests(self) -> list[dict[str, str]]:
        """Return the forms that were sent to the token endpoint."""
        return [form_fields(sent_request.request.body) for sent_request in self.vendor.requests]

    def shown_refresh_tokens(self) -> list[str | None]:
        """Return the refresh tokens that were sent to the token endpoint."""
        return [result.get("refresh_token") for result in self.token_requests()]

    @property
    def kept(self) -> Any:
        """The stored credentials of the tested service and tenant."""
        return self.vault.kept.get(OWNER)


def client(**options: Any) -> OAuthClient:
    """Return an OAuth client that gets its tokens by a user's consent."""
    fields: dict[str, Any] = {"server": TOKENS, "client_id": "erp", "secret": "hush"}
    fields |= {"grant": Consent(), **options}
    return OAuthClient(**fields)
