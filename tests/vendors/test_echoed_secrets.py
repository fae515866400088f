"""An account's secrets are never shown, even if a vendor's response repeats them."""

from __future__ import annotations

import json
import traceback
from itertools import count, cycle
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import pytest

from moorage import ConnectorError, Hub, LogQuery, Secret, VendorRejected
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.adapters.logs.memory import MemoryIntegrationLogger
from moorage.contracts.routes import Account, Route
from moorage.domain.http.log_content import LogContent, LoggedCalls
from moorage.domain.http.response import Response
from moorage.runtime.flows import run_now
from moorage.testing import VirtualClock, VirtualSleeper
from moorage.testing.fakes.http import ScriptedIncoming
from moorage.testing.fakes.observer import RecordingObserver
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandbox_scenarios import BASIC, BY_CAPABILITY
from moorage.testing.sandbox_scenarios.runner import ScenarioVendor
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.wiring.installed_vendors import vendor_class, vendor_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from moorage.contracts.vendor import Vendor
    from moorage.domain.http.requests import Request, Timeouts
    from moorage.testing.sandboxes.fixture import SandboxFixture

STATUSES: Final = (200, 400, 401, 403, 422, 500)
WITHOUT_HTTP: Final = {"smtp", "local_files", "fsspec"}
FURTHER_OPTIONS: Final[dict[str, dict[str, str]]] = {
    "amazon_ses": {"session_token": "ses-session-canary"},
    "amazon_sns": {"session_token": "sns-session-canary"},
    "fedex": {
        "tracking_client_id": "l7-tracking-client",
        "tracking_credentials": "tracking-canary-of-fedex",
    },
    "sendgrid": {"validation_credentials": "SG.validation-canary"},
}
"""Further secrets of accounts, except S3's session token, which signed URLs must show."""

WEBHOOK_SECRET: Final = "webhook-canary-4711"
FIELDS: Final = (
    *("code", "detail", "details", "description", "error", "error-text", "error_description"),
    *("errorCode", "message", "reason", "status", "title", "type", "Message", "ErrorMessage"),
)
LISTS: Final = ("alerts", "debugInfo", "errors", "messages", "notifications", "warnings")


def json_body(secret: str) -> bytes:
    """Return a JSON error that repeats a secret in fields that many vendors use."""
    problem: dict[str, Any] = dict.fromkeys(FIELDS, f"No: {secret}")
    lists = {name: [problem] for name in LISTS}
    nested = {"response": lists, "fault": problem, "error": {**problem, **lists}}
    return json.dumps({**problem, **lists, **nested}).encode()


def xml_body(secret: str) -> bytes:
    """Return an XML error that repeats a secret in the elements of Amazon and Azure."""
    inner = "".join(f"<{name}>No: {secret}</{name}>" for name in ("Code", "Message", "RequestId"))
    text = f"<ErrorResponse><Error>{inner}</Error>{inner}</ErrorResponse>"
    return b'<?xml version="1.0"?>' + text.encode()


BODIES: Final = {
    "json": ("application/json", json_body),
    "xml": ("application/xml", xml_body),
    "text": ("text/html", lambda secret: f"<h1>No {secret}</h1>".encode()),
}


def echo(secret: str, status: int, body: str) -> Response:
    """Return a response that repeats a secret in its body, headers and reason."""
    kind, make = BODIES[body]
    line = "".join(secret.splitlines())  # a header cannot contain the lines of a PEM key
    headers = {"Content-Type": kind, "X-Echo": line, "Location": f"https://x.example/{line}"}
    return Response(status, headers, make(secret), reason=f"No {line}")


class EchoingHttpClient:
    """An HTTP client of a sandbox that can answer requests with an echoed secret.

    Attributes:
        tokens: access tokens that the sandbox has granted.
        echoed: True once the echo was sent.
    """

    def __init__(self, fixture: SandboxFixture) -> None:
        self._sandbox = SandboxHttpClient(*([fixture.sandbox] if fixture.sandbox else []))
        self._numbers = count()
        self._number = -1
        self._echo: Response | None = None
        self.tokens: set[str] = set()
        self.echoed = False

    def echo_at(self, number: int, response: Response | None = None) -> None:
        """Answer the n-th request from now on, and all later ones, with this response.

        Without a response, the echo repeats the access tokens that the request contains.
        """
        self._numbers, self._number, self._echo = count(), number, response
        self.echoed = False

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Return the sandbox's response, or, from the chosen request on, the echoed secret."""
        if 0 <= self._number <= next(self._numbers):
            self.echoed = True
            return self._echo or echo(self._tokens_in(request, url), 400, "json")
        response = self._sandbox.send(request, url, timeouts)
        if b"access_token" in response.body:
            self.tokens.add(response.json()["access_token"])
        return response

    def _tokens_in(self, request: Request, url: str) -> str:
        sent = f"{url} {request.headers.pairs} {request.body!r}"
        return " and ".join(token for token in self.tokens if token in sent)

    def open(self, request: Request, url: str, timeouts: Timeouts, /) -> ScriptedIncoming:
        """Return the sandbox's response, or the echoed secret, as a stream."""
        return ScriptedIncoming(self.send(request, url, timeouts))

    def close(self) -> None:
        """Do nothing, because nothing is open."""


class EchoingTransport:
    """A transport whose operations all fail with an error that repeats a secret."""

    def __init__(self, secret: str) -> None:
        self.secret = secret

    def __getattr__(self, verb: str) -> Any:
        def operation(*_: object) -> None:
            raise VendorRejected(
                f"{verb}: {self.secret}",
                vendor_message=self.secret,
                response=echo(self.secret, 400, "json"),
            )

        return operation


def account_of(name: str, fixture: SandboxFixture) -> Account:
    """Return an account with a secret in each option that may hold one."""
    kind = cast("Any", vendor_class(name))
    fields = {field.name for field in attrs.fields(kind)}
    options = {**fixture.options, **FURTHER_OPTIONS.get(name, {})}
    settings: dict[str, Any] = {
        "retry": None,
        "circuit": None,
        "log_content": LogContent(calls=LoggedCalls.ALL),
    }
    if "volatile_keys" in options:
        settings["volatile_keys"] = True
    vendor = kind(**{key: value for key, value in options.items() if key in fields})
    return Account(name, vendor, webhook_secrets=(Secret(WEBHOOK_SECRET),), settings=settings)


def secrets_of(vendor: Vendor) -> Iterator[str]:
    """Yield the secrets among a vendor's options, including those inside an option."""
    for field in attrs.fields(type(cast("Any", vendor))):
        value = getattr(vendor, field.name)
        if isinstance(value, Secret):
            text = value.reveal()
            if text.startswith("{"):
                yield "".join(json.loads(text)["private_key"].split("\n")[1:-2])
            else:
                yield text.rpartition("?token=")[2]
    yield WEBHOOK_SECRET


def revealed_text(value: object) -> str:
    """Return all text that appears if a value, its fields and its causes are printed."""
    texts = [repr(value), str(value)]
    if isinstance(value, BaseException):
        texts += [repr(vars(value)), repr(value.args), "".join(traceback.format_exception(value))]
        texts += [revealed_text(cause) for cause in (value.__cause__, value.__context__) if cause]
        response: Response | None = getattr(value, "response", None)
        if response is not None:
            texts += [response.text, repr(response.headers.pairs), f"{response.reason}"]
    return "\n".join(texts)


def scenarios_of(name: str) -> Iterator[tuple[str, Any]]:
    """Yield each example call that a vendor supports, with the contract that it belongs to."""
    kind = vendor_class(name)
    for contract in kind.kinds:
        for scenario in BASIC[contract].values():
            yield contract, scenario
        for capability, scenario in BY_CAPABILITY[contract].items():
            if capability in kind.capabilities:
                yield contract, scenario


def echoes(secrets: list[str]) -> Iterator[Response]:
    """Yield responses that repeat the given secrets, for each error status and type of body."""
    for status in cycle(STATUSES):
        for body in BODIES:
            yield echo(" and ".join(secrets), status, body)


@pytest.mark.untraced
@pytest.mark.parametrize("name", vendor_names())
def test_no_secret_of_the_account_is_shown(name: str, tmp_path: Path) -> None:
    """No error, event or log entry shows an account's secret that a vendor's response repeats."""
    fixture = fixture_of(name, tmp_path)
    account = account_of(name, fixture)
    secrets = [*secrets_of(account.vendor)]
    client, transport = EchoingHttpClient(fixture), EchoingTransport(" and ".join(secrets))
    observer, log = RecordingObserver(), MemoryIntegrationLogger()
    answers = echoes(secrets)
    clock = VirtualClock()
    hub = Hub(
        accounts=[account],
        routes=[Route(kind, [name]) for kind in account.vendor.kinds],
        http=client,
        credentials=MemoryCredentialProvider(),
        observers=[observer],
        log=log,
        transports={name: transport} if name in WITHOUT_HTTP else {},
        clock=clock,
        sleeper=VirtualSleeper(clock),
    )
    errors: list[ConnectorError] = []

    def check_scenario(contract: str, scenario: Any) -> None:
        vendor = ScenarioVendor(
            operations=getattr(hub, contract)(), fixture=fixture, name=name, is_supported=True
        )
        try:
            result: object = run_now(scenario(vendor))
        except ConnectorError as error:
            result = error
            errors.append(error)
        except AssertionError:
            result = None  # The scenario cannot continue after an empty response.
        seen = "\n".join(map(revealed_text, [result, *observer.events]))
        observer.events.clear()
        assert [] == [secret for secret in [*secrets, *client.tokens] if secret in seen]

    with hub:
        scenarios = [*scenarios_of(name)]
        for contract, scenario in [scenarios[0]] * (len(STATUSES) * len(BODIES)):
            client.echo_at(0, next(answers))
            check_scenario(contract, scenario)
        for contract, scenario in scenarios:
            for number in count():
                for answer in [next(answers), *([None] if client.tokens else [])]:
                    client.echo_at(number, answer)
                    check_scenario(contract, scenario)
                if not client.echoed:
                    break
    entries = "\n".join(repr(attrs.asdict(item)) for item in log.find(LogQuery()).items)
    assert [] == [secret for secret in secrets if secret in entries]
    assert errors
    fixture.close()
