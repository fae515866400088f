"""No event and no error contains a secret, wherever secrets are planted."""

from __future__ import annotations

import pickle
import traceback
from functools import partial
from typing import Any

import attrs
import pytest

from moorage import (
    AttemptTimeout,
    BulkheadConfig,
    CircuitBreakerConfig,
    ConnectorError,
    Credentials,
    Endpoint,
    HedgeConfig,
    RateLimitConfig,
    Redaction,
    Request,
    Response,
    RetryPolicy,
    Service,
)
from tests.support.modes import Harness, sync_and_async
from tests.support.virtual_ports import PiecewiseBody

# Repeats lines that other tests cover individually.
pytestmark = pytest.mark.untraced

CANARIES = ("cnry-header", "cnry-query", "cnry-body", "cnry-token", "cnry-answer", "cnry-foreign")
REQUEST = Request.post(
    "/charges?api_key=cnry-query",
    query={"token": "cnry-query"},
    headers={"Authorization": "cnry-header", "X-Custom": "cnry-header"},
    json={"password": "cnry-body", "note": "cnry-body"},
)
FOREIGN = ValueError("https://bank.example/?key=cnry-foreign")
ECHO = b'{"code": "E1", "message": "password=cnry-answer", "secret": "cnry-answer"}'


def shown_text(value: object) -> str:
    """Return the text that appears when a value, its parts or its traceback are printed."""
    parts = [repr(value), str(value)]
    if isinstance(value, BaseException):
        parts += traceback.format_exception(value)
        parts += [repr(part) for name, part in vars(value).items() if name != "response"]
        parts.append(repr(pickle.dumps(value)))
    elif attrs.has(type(value)):
        parts += [repr(part) for part in attrs.astuple(value, recurse=False)]  # type: ignore[arg-type]  # checked
    return "\n".join(parts)


def check_no_secret(value: object) -> None:
    """Fail if the value's text contains a planted secret."""
    text = shown_text(value)
    assert [] == [canary for canary in CANARIES if canary in text]


class Provider:
    """A credential provider that knows a secret, and quotes it in its error."""

    def __init__(self) -> None:
        self.fails = False

    async def get(self, *_: object) -> Credentials:
        """Return the secret, or raise an error that contains it."""
        if self.fails:
            raise FOREIGN
        return Credentials.bearer("cnry-token")

    async def refresh(self, *_: object) -> Credentials:
        """Raise an error that contains the secret."""
        raise FOREIGN


ANSWERS = [
    200,
    Response(400, {"Content-Type": "application/json", "X-Echo": "cnry-answer"}, ECHO),
    Response(401, {}, ECHO),
    Response(403, {}, ECHO),
    Response(409, {}, b'{"error": "token=cnry-answer"}'),
    Response(429, {"Retry-After": "1"}, ECHO),
    Response(503, {}, ECHO),
    Response(302, {"Location": "https://x.example/?token=cnry-answer"}),
    AttemptTimeout("late"),
    FOREIGN,
]


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
@pytest.mark.parametrize("key", [None, "k"])
@sync_and_async
async def test_events_and_errors_show_no_secret(
    harness: Harness, answer: Any, key: str | None
) -> None:
    """Events and errors show no secret, for any response of the vendor."""
    service = Service(
        "bank",
        base_url="https://bank.example",
        needs_credentials=True,
        headers={"X-Tenant-Secret": "cnry-header"},
        retry=RetryPolicy(2, 0),
        circuit=CircuitBreakerConfig(failures=1),
        limits=RateLimitConfig(2, per=60),
        bulkhead=BulkheadConfig(1),
        hedge=HedgeConfig(1),
        max_limit_wait=0,
    )
    provider = Provider()
    harness.vendor.otherwise = answer
    manager = harness.watched(service, credentials=harness.of_mode(provider))

    for _ in range(4):
        try:
            response = await manager.call("bank", REQUEST, idempotency_key=key)
            check_no_secret(response)
        except ConnectorError as error:
            check_no_secret(error)
    for event in harness.events:
        check_no_secret(event)


@sync_and_async
async def test_broken_stream_shows_no_secret(harness: Harness) -> None:
    """The error of a broken stream contains no secret."""
    harness.vendor.answers(PiecewiseBody(200, {"X-Echo": "cnry-answer"}, b"cnry-answer", FOREIGN))
    service = Service("bank", base_url="https://bank.example", retry=None)
    manager = harness.watched(service)

    stream = await manager.stream("bank", REQUEST)
    check_no_secret(stream.answer)
    await stream.read()
    with pytest.raises(ConnectorError) as excinfo:
        await stream.read()

    for value in (excinfo.value, *harness.events):
        check_no_secret(value)


@sync_and_async
async def test_failing_provider_shows_no_secret(harness: Harness) -> None:
    """The error of a failing credential provider contains no secret."""
    service = Service("bank", base_url="https://bank.example", needs_credentials=True)
    provider = Provider()
    provider.fails = True
    manager = harness.watched(service, credentials=harness.of_mode(provider))

    with pytest.raises(ConnectorError) as excinfo:
        await manager.call("bank", REQUEST)

    for value in (excinfo.value, *harness.events):
        check_no_secret(value)


@sync_and_async
async def test_failing_store_shows_no_secret(harness: Harness) -> None:
    """If the store fails at any step, errors and events contain no secret."""
    service = Service("bank", base_url="https://bank.example", retry=None)
    for number in range(1, 4):
        store = harness.store
        store.commands.clear()
        store.fails_at[number] = FOREIGN
        manager = harness.watched(service, state=harness.of_mode(store))
        try:
            await manager.call("bank", REQUEST, idempotency_key=f"k{number}")
        except ConnectorError as error:
            check_no_secret(error)
    for event in harness.events:
        check_no_secret(event)


@pytest.mark.parametrize(
    "field", ["retry", "credentials", "circuit", "limits", "bulkhead", "endpoints", "classify"]
)
def test_misplaced_secret_is_not_quoted(field: str) -> None:
    """The error for a credential in the wrong field does not contain it."""
    options: dict[str, Any] = {field: "cnry-token"}
    with pytest.raises(ConnectorError) as excinfo:
        Service("bank", **options)

    check_no_secret(excinfo.value)


@sync_and_async
async def test_function_arguments_are_not_quoted(harness: Harness) -> None:
    """The error of a refused function does not contain its arguments."""
    manager = harness.manager(Service("bank"))

    def pay(_: str) -> int:
        return 1

    async def pay_later(_: str) -> int:
        return 1

    wrong_function: Any = pay if harness.is_awaited else pay_later
    if not harness.is_awaited:
        wrong_function = lambda token: pay_later(token)  # noqa: E731, PLW0108 - disguised on purpose
    protected = manager.manager.protect("bank")(wrong_function)
    with pytest.raises(ConnectorError) as excinfo:
        await protected(CANARIES[3])

    check_no_secret(excinfo.value)


@pytest.mark.parametrize(
    "kind", ["request_transforms", "response_transforms", "classify", "fallback"]
)
@sync_and_async
async def test_result_of_a_hook_is_not_quoted(harness: Harness, kind: str) -> None:
    """The error for a hook's invalid result does not contain the result."""

    def return_wrong_result(_: str, *__: object) -> int:
        return 1

    hook: Any = partial(return_wrong_result, "cnry-token")
    service = Service(
        "bank",
        base_url="https://bank.example",
        endpoints=Endpoint("any"),
        retry=None,
        **{kind: hook},
    )
    harness.vendor.answers(503)

    try:
        check_no_secret(await harness.manager(service).call("bank", REQUEST))
    except ConnectorError as error:
        check_no_secret(error)


@sync_and_async
async def test_custom_patterns_are_masked(harness: Harness) -> None:
    """Text that matches a service's own redaction patterns appears in no error or event."""
    harness.vendor.answers(
        Response(400, {}, b'{"code": "K-cnry-answer", "message": "customer K-cnry-answer"}')
    )
    service = Service(
        "bank",
        base_url="https://bank.example",
        retry=None,
        redaction=Redaction(patterns=r"\bK-[\w-]+"),
    )
    manager = harness.watched(service)

    with pytest.raises(ConnectorError) as excinfo:
        await manager.call("bank", REQUEST)

    assert "customer ***" in str(excinfo.value)
    for value in (excinfo.value, *harness.events):
        check_no_secret(value)
