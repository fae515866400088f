"""Each operation sends each request once; a repeat with its key sends no write again."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import pytest

from moorage import Hub
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.contracts.routes import Account, Route
from moorage.runtime.flows import run_now
from moorage.testing.fakes.http import ScriptedIncoming, as_bytes
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandbox_scenarios import BASIC, BY_CAPABILITY
from moorage.testing.sandbox_scenarios.runner import ScenarioVendor
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.wiring.installed_vendors import vendor_class, vendor_names

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.domain.http.requests import Request, Timeouts
    from moorage.domain.http.response import Response

WITHOUT_HTTP: Final = {"smtp", "local_files", "fsspec"}
STORAGES: Final = {"azure_blob", "gcs", "s3"}
READERS: Final = {"brreg", "ecb", "hmrc", "nbp", "norges_bank", "vies"}
"""Vendors whose operations change nothing, so that none takes a key."""

NAMES: Final = [name for name in vendor_names() if name not in WITHOUT_HTTP]
SENT_AGAIN: Final = {
    ("entra", "create"),
    ("hubspot", "save_deal"),
    ("hubspot", "save_person"),
    ("paypal", "void"),
    ("stripe", "cancel_subscription"),
}
"""Operations that send a request again on a repeat, since the request has no further effect."""

LONGEST_KEYS: Final = {
    "adyen": 64,
    "checkout_com": 64,
    "gocardless_payments": 128,
    "mollie": 64,
    "paypal": 108,
    "quickbooks": 50,
    "square": 45,
    "xero": 128,
}
"""The most characters of an idempotency key at vendors that take no key of `LONG_KEY`'s length."""

LONG_KEY: Final = "k" * 200

READS: Final = (
    "/api/labels/v1/recovery",
    "/auth/challenge",
    "/auth/ksef-token",
    "/auth/token/redeem",
    "/payments/v3/payment-authorization",
    "/shipping/v1/login",
)
"""Endings of URLs to which POST requests change nothing."""

READ_CALLS: Final = (b'"search_read"', b'"query":"query ', b'{"get')
"""Parts of the bodies of the calls of Odoo, GraphQL and Authorize.Net that only read.

Such a call may follow a call that changes something.
"""


class RecordingHttpClient:
    """An HTTP client of a sandbox that records requests.

    Attributes:
        sent: method, URL and body of each request.
        longest_key: the most characters of an idempotency key; None if there is no limit.
        writes: those of the requests that may change something.
    """

    def __init__(self, sandbox: Any, longest_key: int | None) -> None:
        self._client = SandboxHttpClient(sandbox)
        self.longest_key = longest_key
        self.sent: list[tuple[object, ...]] = []
        self.writes: list[tuple[str, str, object]] = []

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Record a request and return the sandbox's response."""
        response = self._client.send(request, url, timeouts)
        if self.longest_key is not None:
            too_long = "k" * (self.longest_key + 1)
            assert not [value for value in request.headers.values() if too_long in value]
            assert too_long not in str(request.body)
        if b"access_token" not in response.body:
            sent_request = (str(request.method), url, request.body)
            is_read_call = any(part in as_bytes(request) for part in READ_CALLS)
            self.sent.append((*sent_request, len(self.writes)) if is_read_call else sent_request)
            if not (request.method.safe or url.endswith(READS) or is_read_call):
                self.writes.append(sent_request)
        return response

    def open(self, request: Request, url: str, timeouts: Timeouts, /) -> ScriptedIncoming:
        """Record a request and return the sandbox's response as a stream."""
        return ScriptedIncoming(self.send(request, url, timeouts))

    def close(self) -> None:
        """Do nothing, because nothing is open."""


def as_replayed(result: Any) -> Any:
    """Return the result or results marked as not replayed, so that two can be compared."""
    if isinstance(result, list):
        return [as_replayed(item.value) for item in result]
    return attrs.evolve(result, replayed=False) if hasattr(result, "replayed") else result


@attrs.frozen(kw_only=True)
class RepeatingVendor(ScenarioVendor):
    """A vendor at which each operation is called twice with one key, to compare the requests.

    Attributes:
        client: the HTTP client that records requests.
        repeated: the names of the operations that were repeated.
    """

    client: RecordingHttpClient
    repeated: list[str] = attrs.field(factory=list)

    async def __call__(self, operation: str, *arguments: Any, **keywords: Any) -> Any:
        """Call an operation with a key twice, and compare requests and results."""
        call = getattr(self.operations, operation)
        self.client.sent.clear()
        if "idempotency_key" not in inspect.signature(call).parameters:
            result = await super().__call__(operation, *arguments, **keywords)
            assert len(self.client.sent) == len({*self.client.sent})
            return result
        keywords["idempotency_key"] = f"{LONG_KEY}-{len(self.repeated)}"
        first = call(*arguments, **keywords)
        assert len(self.client.sent) == len({*self.client.sent})
        writes = [*self.client.writes]
        repeat = call(*arguments, **keywords)
        if (self.name, operation) not in SENT_AGAIN:
            assert writes == self.client.writes
        assert as_replayed(first) == as_replayed(repeat)
        self.repeated.append(operation)
        return first


def repeated_operations(name: str, contract: str, scenario: Any, folder: Path) -> list[str]:
    """Run a scenario at a new sandbox, and return the operations that were repeated in it."""
    fixture = fixture_of(name, folder)
    kind = cast("Any", vendor_class(name))
    fields = {field.name for field in attrs.fields(kind)}
    vendor = kind(**{key: value for key, value in fixture.options.items() if key in fields})
    client = RecordingHttpClient(fixture.sandbox, LONGEST_KEYS.get(name))
    settings = {"volatile_keys": True} if "volatile_keys" in fixture.options else {}
    with Hub(
        accounts=[Account(name, vendor, settings=settings)],
        routes=[Route(contract, [name])],
        http=client,
        credentials=MemoryCredentialProvider(),
    ) as hub:
        user = RepeatingVendor(
            operations=getattr(hub, contract)(),
            fixture=fixture,
            name=name,
            is_supported=True,
            client=client,
        )
        run_now(scenario(user))
    fixture.close()
    return user.repeated


@pytest.mark.untraced
@pytest.mark.parametrize("name", NAMES)
def test_each_request_is_sent_once(name: str, tmp_path: Path) -> None:
    """An operation sends no request twice, and repeating it with its key sends no write again."""
    kind = vendor_class(name)
    repeated: set[str] = set()
    for contract in kind.kinds:
        for scenario in BASIC[contract].values():
            repeated.update(repeated_operations(name, contract, scenario, tmp_path))
        for capability, scenario in BY_CAPABILITY[contract].items():
            if capability in kind.capabilities:
                repeated.update(repeated_operations(name, contract, scenario, tmp_path))
    assert repeated or name in STORAGES | READERS
