"""Records what the protections do in a run, and draws it as a picture.

Each run is a small program in virtual time, with a vendor that follows a script. Its messages are
those that the program, moorage and the vendor really exchanged, with the events in between.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from moorage import (
    AsyncConnectorManager,
    AsyncOAuthTokenRefresher,
    AttemptTimeout,
    BulkheadConfig,
    CachePolicy,
    CircuitBreakerConfig,
    ClientCredentials,
    ConnectionFailed,
    ConnectorError,
    HedgeConfig,
    OAuthClient,
    RateLimitConfig,
    Request,
    Response,
    RetryBudget,
    Service,
    WebhookSigner,
    WebhookVerifier,
)
from moorage.domain.observation import events
from moorage.testing import AsyncVirtualSleeper, ScriptedRandomness, VirtualClock
from moorage.testing.fakes.http import PIECE, AsyncScriptedIncoming
from tools.diagrams import Row, draw

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage.domain.http.timeouts import Timeouts

CODE: Final = "your code"
MOORAGE: Final = "moorage"
VENDOR: Final = "vendor"
LOGIN: Final = "login server"
GET: Final = Request.get("/rates")
POST: Final = Request.post("/charges", json={"invoice": "INV-1"})
_COLUMN: Final = 200
_URL: Final = "https://vat.example"
_LOGIN_URL: Final = "https://login.example/token"
_SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Answer(NamedTuple):
    """One response of a scripted vendor.

    Attributes:
        status: its status; 0 if it is lost.
        delay: seconds until it arrives.
        headers: its headers.
        body: its body.
    """

    status: int = 200
    delay: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b"{}"


LOST_ANSWER: Final = Answer(0)


class Recorder:
    """A scripted vendor that records the events of a run.

    Attributes:
        rows: the recorded events, in order.
        answers: the vendor's remaining responses; afterwards it responds with 200.
        clock, sleeper: the virtual time.

    Args:
        answers: see above.
        is_real: whether real time passes; then an answer with a delay must never arrive.
    """

    def __init__(self, answers: tuple[Answer, ...] = (), *, is_real: bool = False) -> None:
        self.rows: list[Row] = []
        self.answers = [*answers]
        self.clock = VirtualClock()
        self.sleeper = AsyncVirtualSleeper(self.clock, autojump=True)
        self._sleep = asyncio.sleep if is_real else self.sleeper.sleep
        self._is_real = is_real

    def manager(self, credentials: Any = None, **settings: Any) -> AsyncConnectorManager:
        """Return a manager with one service, all of whose requests and events are recorded."""
        return AsyncConnectorManager(
            [Service("vat", _URL, **settings)],
            http=self,
            clock=None if self._is_real else self.clock,
            sleeper=None if self._is_real else self.sleeper,
            randomness=ScriptedRandomness(),
            observers=[self.observe],
            credentials=credentials,
        )

    async def call(
        self, manager: AsyncConnectorManager, request: Request = GET, key: str | None = None
    ) -> None:
        """Make a call like a program would, and record the result."""
        key_note = "" if key is None else f", key {key}"
        self.rows.append(Row(CODE, f"{_name_of(request)}{key_note}", MOORAGE))
        try:
            answer = await manager.call("vat", request, idempotency_key=key)
        except ConnectorError as error:
            self.rows.append(Row(MOORAGE, type(error).__name__, CODE))
        else:
            self.rows.append(Row(MOORAGE, str(answer.status), CODE))

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Return the scripted response to a request."""
        host = LOGIN if url.startswith(_LOGIN_URL) else VENDOR
        answer = _TOKEN if host == LOGIN else self.answers.pop(0) if self.answers else Answer()
        path = urlsplit(url).path
        confirms = ", If-None-Match" if request.headers.get("if-none-match") else ""
        self.rows.append(Row(MOORAGE, f"{request.method.value} {path}{confirms}", host))
        limit = timeouts.total
        if limit is not None and answer.delay > limit:
            await self._sleep(limit)
            self.rows.append(Row(MOORAGE, f"no answer in {limit:g} s", MOORAGE))
            raise AttemptTimeout("The vendor did not answer in time.")
        if answer.delay:
            try:
                await self._sleep(answer.delay)
            except asyncio.CancelledError:
                self.rows.append(Row(MOORAGE, "cancels the slower request", VENDOR))
                raise
        if not answer.status:
            self.rows.append(Row(VENDOR, "the connection breaks", MOORAGE))
            raise ConnectionFailed("The connection broke.")
        delay_words = f" after {answer.delay:g} s" if answer.delay else ""
        self.rows.append(Row(host, f"{answer.status}{delay_words}", MOORAGE))
        return Response(answer.status, [*answer.headers], answer.body)

    async def open(
        self, request: Request, url: str, timeouts: Timeouts, /
    ) -> AsyncScriptedIncoming:
        """Return the scripted response to a request as a stream."""
        return AsyncScriptedIncoming(await self.send(request, url, timeouts), piece=PIECE)

    async def close(self) -> None:
        """Do nothing: a scripted vendor has no connection to close."""

    def observe(self, event: events.Event) -> None:
        """Record an event other than a call or attempt."""
        text = _text_of(event)
        if text is not None:
            self.rows.append(Row(MOORAGE, text, MOORAGE))


_TOKEN: Final = Answer(
    headers=(("Content-Type", "application/json"),),
    body=b'{"access_token": "a-token", "token_type": "Bearer", "expires_in": 3600}',
)


def _name_of(request: Request) -> str:
    return f"{request.method.value} {request.path}"


_TEXTS: Final[dict[type[events.Event], str]] = {
    events.CacheRevalidated: "the cached answer is still valid",
    events.CredentialRefreshed: "the token was renewed",
    events.IdempotencyReplayed: "the stored answer",
}


def _text_of(event: events.Event) -> str | None:
    """Return the text for an event in the picture; None if the messages already show it."""
    match event:
        case events.RetryScheduled():
            return f"pause of {event.delay:g} s"
        case events.RateLimitWaited():
            return f"waits {event.delay:g} s for the limit"
        case events.BulkheadShrank():
            return f"bulkhead: {event.limit} places"
        case events.BulkheadWaited():
            return f"has waited {event.delay:g} s for a place"
        case events.CircuitChanged():
            return f"circuit: {event.state.value.replace('_', '-')}"
        case events.CacheHit():
            return f"cached answer, {event.age:g} s old"
        case events.WebhookRefused():
            return f"refused: {event.reason}"
        case _:
            return _TEXTS.get(type(event))


Play: TypeAlias = "Callable[[Recorder], Coroutine[Any, Any, None]]"


class Run(NamedTuple):
    """A run of calls that is recorded and drawn.

    Attributes:
        name: the name of its picture.
        title: a description of the run.
        play: performs it.
        answers: the responses of the vendor.
        is_real: whether real time passes.
    """

    name: str
    title: str
    play: Play
    answers: tuple[Answer, ...] = ()
    is_real: bool = False


def _calls(number: int, request: Request = GET, **settings: Any) -> Play:
    """Return a run's calls, which the run makes one after another."""

    async def record_calls(recorder: Recorder) -> None:
        async with recorder.manager(**settings) as manager:
            for _ in range(number):
                await recorder.call(manager, request)

    return record_calls


def _concurrent_play(number: int, **settings: Any) -> Play:
    """Return the calls of a run that makes them at the same time."""

    async def record_calls(recorder: Recorder) -> None:
        async with recorder.manager(**settings) as manager:
            await asyncio.gather(*(recorder.call(manager) for _ in range(number)))

    return record_calls


def _play_with_same_key(**settings: Any) -> Play:
    """Return the calls of a run that makes the same call twice with one key."""

    async def record_calls(recorder: Recorder) -> None:
        async with recorder.manager(**settings) as manager:
            for _ in range(2):
                await recorder.call(manager, POST, "INV-1/1")

    return record_calls


async def _probe(recorder: Recorder) -> None:
    circuit = CircuitBreakerConfig(failures=2, consecutive_failures=None)
    async with recorder.manager(retry=None, circuit=circuit) as manager:
        for _ in range(3):
            await recorder.call(manager)
        recorder.clock.advance(60)
        recorder.rows.append(Row(CODE, "a minute later", CODE))
        await recorder.call(manager)


async def _confirm(recorder: Recorder) -> None:
    async with recorder.manager(cache=CachePolicy(stale_if_error=600)) as manager:
        await recorder.call(manager)
        for _ in range(2):
            recorder.clock.advance(61)
            recorder.rows.append(Row(CODE, "a minute later", CODE))
            await recorder.call(manager)


async def _tokens(recorder: Recorder) -> None:
    client = OAuthClient(
        server=_LOGIN_URL, client_id="erp", secret=_SECRET, grant=ClientCredentials()
    )
    tokens = AsyncOAuthTokenRefresher(
        {"vat": client}, http=recorder, clock=recorder.clock, sleeper=recorder.sleeper
    )
    async with recorder.manager(tokens, needs_credentials=True, retry=None) as manager:
        for _ in range(2):
            await recorder.call(manager)


def _webhooks(*, is_forged: bool) -> Play:
    async def record_calls(recorder: Recorder) -> None:
        clock = VirtualClock()
        body = b'{"type": "invoice.paid", "data": {"id": "INV-1"}}'
        headers = WebhookSigner(_SECRET).sign(body, id="msg_1", at=clock.utc())
        verifier = WebhookVerifier(
            "standard-webhooks", _SECRET, clock=clock, observers=[recorder.observe]
        )
        for number in range(2):
            is_changed = is_forged and not number
            name = "webhook with a changed body" if is_changed else "webhook msg_1"
            recorder.rows.append(Row(VENDOR, name, MOORAGE))
            sent_body = body.replace(b"INV-1", b"INV-9") if is_changed else body
            try:
                with verifier.receive(headers=headers, body=sent_body) as event:
                    recorder.rows.append(Row(MOORAGE, event[0].type, CODE))
                    recorder.rows.append(Row(CODE, "handled", MOORAGE))
            except ConnectorError as error:
                recorder.rows.append(Row(MOORAGE, type(error).__name__, CODE))

    return record_calls


_FRESH_ANSWER: Final = Answer(headers=(("Cache-Control", "max-age=60"), ("ETag", '"v1"')))
_KEY_SETTINGS: Final = {"idempotency_header": "Idempotency-Key", "idempotency_memory": 86_400}

RUNS: Final = (
    Run("retry-happy", "The second attempt succeeds", _calls(1), (Answer(503),)),
    Run(
        "retry-unhappy",
        "A POST without an idempotency key is sent once",
        _calls(1, POST),
        (LOST_ANSWER,),
    ),
    Run(
        "budget-happy",
        "The budget allows a retry",
        _calls(1, retry_budget=RetryBudget(ratio=0.1, floor=1)),
        (Answer(503),),
    ),
    Run(
        "budget-unhappy",
        "The budget ends the retries of an outage",
        _calls(2, retry_budget=RetryBudget(ratio=0.1, floor=1), circuit=None),
        (Answer(503),) * 6,
    ),
    Run("circuit-happy", "A probe closes the circuit", _probe, (Answer(503),) * 2),
    Run("circuit-unhappy", "The probe fails", _probe, (Answer(503),) * 3),
    Run(
        "limit-happy",
        "The third call waits for the rate limit",
        _calls(3, limits=RateLimitConfig.per_second(1, burst=2)),
    ),
    Run(
        "limit-unhappy",
        "The limit cannot admit the call before its deadline",
        _calls(2, limits=RateLimitConfig.per_minute(1), timeout=10.0),
    ),
    Run(
        "bulkhead-happy",
        "The second call waits for a free slot",
        _concurrent_play(2, bulkhead=BulkheadConfig(max_concurrent=1, max_waiting=1)),
        (Answer(delay=2.0),),
    ),
    Run(
        "bulkhead-unhappy",
        "No slot is free, and no caller may wait",
        _concurrent_play(2, bulkhead=BulkheadConfig(max_concurrent=1)),
        (Answer(delay=2.0),),
    ),
    Run(
        "hedge-happy",
        "The extra request is quicker",
        _calls(1, hedge=HedgeConfig(delay=0.01)),
        (Answer(delay=20.0),),
        is_real=True,
    ),
    Run(
        "hedge-unhappy",
        "A slow POST is not sent twice",
        _calls(1, POST, hedge=HedgeConfig(delay=0.1), timeout=10.0),
        (Answer(delay=60.0),),
    ),
    Run(
        "key-happy",
        "A repeat after a lost answer",
        _play_with_same_key(**_KEY_SETTINGS),
        (LOST_ANSWER,),
    ),
    Run(
        "key-unhappy",
        "The vendor does not remember idempotency keys",
        _play_with_same_key(),
        (LOST_ANSWER,),
    ),
    Run(
        "cache-happy",
        "Two calls send one request to the vendor",
        _calls(2, cache=CachePolicy()),
        (_FRESH_ANSWER,),
    ),
    Run(
        "cache-unhappy",
        "The vendor confirms a stale answer, and later the answer replaces an error",
        _confirm,
        (_FRESH_ANSWER, Answer(304, headers=_FRESH_ANSWER.headers), *(Answer(503),) * 3),
    ),
    Run(
        "time-happy",
        "A hanging attempt leaves time for another",
        _calls(1, timeout=10.0, attempt_timeout=2.0),
        (Answer(delay=60.0),),
    ),
    Run(
        "time-unhappy",
        "A hanging attempt uses all of the time",
        _calls(1, timeout=10.0),
        (Answer(delay=60.0),),
    ),
    Run("oauth-happy", "Two calls use one token", _tokens),
    Run("oauth-unhappy", "The vendor refuses the token", _tokens, (Answer(401),)),
    Run("webhook-happy", "A delivery is handled once", _webhooks(is_forged=False)),
    Run("webhook-unhappy", "A forged delivery", _webhooks(is_forged=True)),
)


@cache
def recorded_rows(run: Run) -> tuple[Row, ...]:
    """Record a run, and return the rows of its picture."""
    recorder = Recorder(run.answers, is_real=run.is_real)
    asyncio.run(run.play(recorder))
    return tuple(recorder.rows)


def pictures() -> dict[str, str]:
    """Return each run's picture by its path in the site."""
    return {
        f"diagrams/runs/{run.name}.svg": draw(run.title, recorded_rows(run), _COLUMN)
        for run in RUNS
    }
