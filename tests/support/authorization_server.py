"""An OAuth 2 authorization server for tests, and a resource that it protects.

```python
with AuthorizationServer(Client(id="erp", secret="s3cr3t")) as server:
    access, refresh = server.seed()                   # as if a person had agreed
    server.order(faults.lost_answer())                # the next answer of /token is lost
    server.expire_access_tokens()
    ...                                               # clients call server.token_url
    assert 1 == server.rotations
    assert 0 == server.reuses
```

It is as strict as its RFCs: 6749, 6750, 7009, 7523, 7636, 8414, 8628, 8693, 8705, 8707, 9207, 9449.
Any number of processes may call the server. A request is counted before its response is sent, so
a client with a response finds its request counted. `authorization_rules` has the decisions and
`authorization_faults` the faults. `authorization_caller` sends requests and signs assertions and
proofs; `authorization_certificates` has certificates for both sides.
"""

from __future__ import annotations

from collections import defaultdict, deque
from datetime import UTC, datetime, timedelta
from threading import Condition
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from tests.support.authorization_proofs import ClientAuthenticator
from tests.support.authorization_records import Records
from tests.support.authorization_rules import Authority
from tests.support.authorization_tokens import Binding, Ledger
from tests.support.authorization_values import (
    Answer,
    Client,
    ResourceRequest,
    TokenRequest,
    Tokens,
)
from tests.support.authorization_wire import Listener

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from tests.support.authorization_faults import Fault
    from tests.support.authorization_values import Call, PublicKey

__all__ = ["AuthorizationServer", "Client", "ResourceRequest", "TokenRequest", "Tokens"]

_TIMEOUT: Final = 120.0


class _UtcClock(Protocol):
    def utc(self) -> datetime: ...


class AuthorizationServer:
    """An authorization server that listens while its `with` block runs.

    Args:
        clients: the registered clients; by default one with a secret and Basic.
        rotating: whether each use of a refresh token issues the next one.
        grace: how often a used refresh token may be sent again before its family is revoked.
        access_lifetime: the lifetime of access tokens, in seconds.
        refresh_lifetime: the lifetime of refresh tokens, in seconds; None for unlimited.
        clock: a clock like `moorage.ports.clock.Clock`; by default the system's.
        tls: the TLS context; if it requests client certificates, tokens are bound to them.
        nonces: whether proofs of possession need a nonce.
        window: how many seconds a proof's time may be off.
        issuer_path: the path of the issuer URL, such as `/tenant`.

    Attributes:
        authority: the rules; `targets`, `needed_scope` and `more_metadata` may be set.
        people: the people who are asked; `approve` and `interval` may be set.
        claimed_issuer: the issuer URL that the server claims, if it is not the real one.
    """

    def __init__(
        self,
        *clients: Client,
        rotating: bool = True,
        grace: int = 0,
        access_lifetime: float = 3600.0,
        refresh_lifetime: float | None = None,
        clock: _UtcClock | None = None,
        tls: ssl.SSLContext | None = None,
        nonces: bool = False,
        window: float = 60.0,
        issuer_path: str = "",
    ) -> None:
        self._clock = clock
        self._ahead = timedelta()
        self._news = Condition()
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._records = Records()
        self._hanging = 0
        self._releases = 0
        self._leaving = False
        self._issuer_path = issuer_path
        self._listener = Listener(self, tls)
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._listener.server_port}"
        self.clients = clients or (Client(),)
        self._ledger = Ledger(
            rotating=rotating,
            grace=grace,
            access_lifetime=access_lifetime,
            refresh_lifetime=refresh_lifetime,
        )
        self._door = ClientAuthenticator(self.clients, nonces_required=nonces, window=window)
        self.authority = Authority(self.url, f"{self.url}{issuer_path}", self._ledger, self._door)
        self.people = self.authority.people

    # --- where it is -------------------------------------------------------

    @property
    def issuer(self) -> str:
        """Return the server's real issuer URL."""
        return self.authority.issuer

    @property
    def claimed_issuer(self) -> str:
        """Return the issuer URL named in metadata and redirects."""
        return self.authority.claimed

    @claimed_issuer.setter
    def claimed_issuer(self, name: str) -> None:
        self.authority.claimed = name

    @property
    def token_url(self) -> str:
        """Return the URL of the token endpoint."""
        return f"{self.url}/token"

    @property
    def resource_url(self) -> str:
        """Return the URL of the protected resource."""
        return f"{self.url}/resource"

    @property
    def authorize_url(self) -> str:
        """Return the URL at which people give consent."""
        return f"{self.url}/authorize"

    @property
    def device_url(self) -> str:
        """Return the URL at which devices start a login."""
        return f"{self.url}/device_authorization"

    @property
    def revoke_url(self) -> str:
        """Return the URL of the revocation endpoint."""
        return f"{self.url}/revoke"

    @property
    def metadata_url(self) -> str:
        """Return the URL at which RFC 8414 places the metadata."""
        return f"{self.url}/.well-known/oauth-authorization-server{self._issuer_path}"

    # --- what it is told ---------------------------------------------------

    def seed(
        self,
        client: Client | None = None,
        scope: str | None = None,
        *,
        jkt: str | None = None,
        x5t: str | None = None,
    ) -> Tokens:
        """Issue tokens for a client (by default the first) as if a person had agreed.

        The tokens are bound to the key and the certificate with these thumbprints.
        """
        binding = Binding(jkt=jkt, x5t=x5t)
        with self._news:
            value = self.authority.seed(client or self.clients[0], scope, binding, self.now())
        return Tokens(value["access_token"], value["refresh_token"])

    def order(self, *faults: Fault, path: str = "/token") -> None:
        """Inject these faults, one each, into the next requests to a path."""
        with self._news:
            self._faults[path].extend(faults)

    def advance(self, seconds: float) -> None:
        """Advance the server's clock."""
        with self._news:
            self._ahead += timedelta(seconds=seconds)

    def expire_access_tokens(self) -> None:
        """Expire every access token issued so far."""
        with self._news:
            self._ledger.expire()

    def revoke_all(self) -> None:
        """Revoke every token issued so far."""
        with self._news:
            for family in self._ledger.families:
                family.live = False

    def trust(self, issuer: str, key: PublicKey) -> None:
        """Accept assertions of this issuer as grants."""
        with self._news:
            self._door.issuers[issuer] = key

    def decide(self, user_code: str, *, approve: bool = True) -> None:
        """Approve or reject, as a person, the device that shows this code."""
        with self._news:
            self.people.decide(user_code, approve=approve)

    def renew_nonces(self, *, abruptly: bool = False) -> None:
        """Issue new nonces; the previous nonces stay valid unless `abruptly` is set."""
        with self._news:
            self._door.renew_nonces(abruptly=abruptly)

    def release(self) -> None:
        """Release all requests that hang."""
        with self._news:
            self._releases += 1
            self._news.notify_all()

    def hang_up(self) -> None:
        """Close every connection, also idle connections; new connections are accepted."""
        self._listener.hang_up()

    # --- what it tells -----------------------------------------------------

    @property
    def requests(self) -> tuple[TokenRequest, ...]:
        """Return the token requests in the order in which the server decided them."""
        with self._news:
            return tuple(self._records.requests)

    @property
    def resources(self) -> tuple[ResourceRequest, ...]:
        """Return the requests for the resource, in the order in which they were decided."""
        with self._news:
            return tuple(self._records.resources)

    @property
    def accepted(self) -> int:
        """Return the number of 200 responses of the resource."""
        return sum(200 == resource.status for resource in self.resources)

    @property
    def refused(self) -> int:
        """Return the number of 401 responses of the resource."""
        return sum(401 == resource.status for resource in self.resources)

    @property
    def reused_token_count(self) -> int:
        """Return how often a used refresh token was sent again, which revokes its family."""
        return self._read_count(lambda: self._ledger.reused_token_count)

    @property
    def rotations(self) -> int:
        """Return the number of refresh tokens that were exchanged for the next one."""
        return self._read_count(lambda: self._ledger.rotations)

    @property
    def live_families(self) -> int:
        """Return the number of grants that can still be renewed."""
        return self._read_count(lambda: self._ledger.live_families)

    @property
    def hasty_polls(self) -> int:
        """Return the number of device polls that came before their interval was over."""
        return self._read_count(lambda: self.people.hasty)

    @property
    def most_at_once(self) -> int:
        """Return the largest number of token requests in progress at the same time."""
        return self._read_count(lambda: self._records.most_at_once)

    @property
    def connections(self) -> int:
        """Return the number of connections that were opened."""
        return self._listener.connections

    def usable(self, refresh_token: str) -> bool:
        """Return whether this refresh token is valid and unused, without using it."""
        with self._news:
            return self._ledger.is_unused(refresh_token, self.now())

    @property
    def secrets(self) -> frozenset[str]:
        """Return all values that only the server and its clients may read."""
        with self._news:
            client_secrets = (client.secret for client in self.clients if client.confidential)
            return frozenset((*client_secrets, *self._ledger.access, *self._ledger.refresh))

    def _read_count(self, count: Callable[[], int]) -> int:
        with self._news:
            return count()

    def wait_for_arrivals(self, count: int = 1) -> None:
        """Wait until this many token requests have arrived, decided or hanging."""
        self._wait(lambda: self._records.arrived >= count, f"{count} token requests came")

    def wait_for_hanging(self, count: int = 1) -> None:
        """Wait until this many requests hang at the same time."""
        self._wait(lambda: self._hanging >= count, f"{count} requests hang")

    def _wait(self, happened: Callable[[], bool], what: str) -> None:
        with self._news:
            if not self._news.wait_for(happened, _TIMEOUT):
                raise AssertionError(f"Never was it true that {what}.")

    # --- how it lives ------------------------------------------------------

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._news:
            self._leaving = True
            self._news.notify_all()
        self._listener.close()
        if error is None and self._listener.mistakes:
            raise AssertionError("The server itself failed.") from self._listener.mistakes[0]

    def now(self) -> datetime:
        """Return the server's time."""
        return (datetime.now(UTC) if self._clock is None else self._clock.utc()) + self._ahead

    # --- how it answers ----------------------------------------------------

    def arrive(self, method: str, path: str) -> Fault | None:
        """Record a request whose head was read, and return the fault to inject into it."""
        with self._news:
            self._records.arrive(path)
            self._news.notify_all()
            queue = self._faults[path]
            return queue.popleft() if queue else None

    def dismiss(self, path: str) -> None:
        """Record the end of a request."""
        with self._news:
            self._records.leave(path)

    def answer(self, call: Call, path: str, fault: Fault | None) -> Answer | None:
        """Return the response to a request, or None to disconnect."""
        if fault is not None and not self._pause(fault.before):
            return None
        if fault is not None and fault.before:
            call = attrs.evolve(call, now=self.now())
        with self._news:
            recorded_fields: dict[str, Any] = {}
            is_processed = fault is None or fault.processed
            answer: Answer | None = (
                self.authority.answer(call, recorded_fields) if is_processed else Answer()
            )
            if answer is not None and fault is not None:
                answer = fault.change(answer)
            self._records.keep(call, path, recorded_fields, answer, fault)
        if fault is not None and not self._pause(fault.after):
            return None
        return answer

    def _pause(self, seconds: float) -> bool:
        """Wait for some seconds, or until released; return False if the server stops first."""
        if not seconds:
            return True
        with self._news:
            releases = self._releases
            self._hanging += 1
            self._news.notify_all()
            self._news.wait_for(lambda: self._leaving or self._releases > releases, seconds)
            self._hanging -= 1
            return not self._leaving
