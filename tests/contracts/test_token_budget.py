"""Requests to language models never use more tokens than the budget of their account."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from moorage import AsyncHub, HedgeConfig, Hub, InvalidData, RateLimitExceeded, RetryPolicy
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.contracts.inference import EmbeddingRequest, GenerationRequest, Speaker, Turn
from moorage.contracts.routes import Account, Route
from moorage.domain.http.requests import Response
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.service.safety import Safety
from moorage.errors import ConnectionFailed, DryRun, OutcomeUnknown, StorageUnavailable
from moorage.testing import VirtualClock
from moorage.testing.sandboxes.base import (
    AlteredAnswer,
    AsyncSandboxHttpClient,
    Lost,
    SandboxHttpClient,
    SlowAnswer,
    reply,
)
from moorage.testing.sandboxes.inference.openai import OpenAISandbox
from moorage.vendors.inference.openai import OpenAI

if TYPE_CHECKING:
    from pathlib import Path

REQUEST = GenerationRequest("x" * 39, max_tokens=400)
"""A request that may use 1,001 tokens, and of which the sandbox counts 25."""
MOST = REQUEST.most_tokens


def account(sandbox: OpenAISandbox, name: str = "models", **options: Any) -> Account:
    """Return an account at a sandbox; the account does not retry failed requests."""
    vendor = OpenAI(
        credentials=sandbox.api_key,
        model="model-large",
        embedding_model="model-embed",
        **options,
    )
    return Account(name, vendor, settings={"retry": None})


def hub(sandbox: OpenAISandbox, store: SqliteStorage | None = None, **options: Any) -> Hub:
    """Return a hub whose account has these options."""
    return Hub([account(sandbox, **options)], http=SandboxHttpClient(sandbox), state=store)


def tokens_of_one_request(sandbox: OpenAISandbox, hub: Hub) -> int:
    """Return the number of tokens that the sandbox counts for one request."""
    usage = hub.inference().generate(REQUEST).usage
    sandbox.requests.clear()
    return usage.total


def test_each_part_of_a_conversation_counts_more_than_its_text() -> None:
    """Each turn counts some tokens besides its text, because vendors add tokens to each turn."""
    turns = [Turn("a"), Turn("b", speaker=Speaker.MODEL)] * 50
    longer_request = GenerationRequest([*turns, Turn("a")])
    shorter_request = GenerationRequest([Turn("a")])
    assert 100 * 10 < longer_request.most_tokens - shorter_request.most_tokens


def test_example_request_may_use_1001_tokens() -> None:
    """The example request may use 1,001 tokens: the bytes of its text, and its longest answer."""
    assert 1_001 == MOST


def test_budget_counts_used_tokens_and_then_refuses() -> None:
    """Only used tokens count; a request that might exceed the budget is refused until midnight."""
    sandbox = OpenAISandbox()
    with hub(sandbox) as free_hub:
        used = tokens_of_one_request(sandbox, free_hub)
    with hub(sandbox, daily_tokens=MOST + 3 * used) as limited_hub:
        for _ in range(4):
            limited_hub.inference().generate(REQUEST)
        with pytest.raises(RateLimitExceeded, match=f"may use up to {MOST} tokens") as excinfo:
            limited_hub.inference().generate(REQUEST)

    assert 4 == len(sandbox.requests)
    assert excinfo.value.retry_at is not None
    assert (0, 0) == (excinfo.value.retry_at.hour, excinfo.value.retry_at.minute)
    assert not excinfo.value.by_vendor
    assert excinfo.value.attempts == 0


def test_monthly_budget_is_renewed_on_the_first() -> None:
    """A used-up monthly budget refuses requests until the first day of the next month."""
    sandbox = OpenAISandbox()
    with hub(sandbox, monthly_tokens=MOST, daily_tokens=10 * MOST) as limited_hub:
        limited_hub.inference().generate(REQUEST)
        with pytest.raises(RateLimitExceeded) as excinfo:
            limited_hub.inference().generate(REQUEST)

    assert excinfo.value.retry_at is not None
    assert 1 == excinfo.value.retry_at.day


def test_request_beyond_the_whole_budget_is_invalid() -> None:
    """A request larger than the whole budget raises an error that says what to change."""
    sandbox = OpenAISandbox()
    with hub(sandbox, daily_tokens=MOST - 1) as limited_hub, pytest.raises(InvalidData) as excinfo:
        limited_hub.inference().generate(REQUEST)

    assert f"{MOST - 1} tokens" in str(excinfo.value)
    assert "max_tokens" in str(excinfo.value.remedy)
    assert [] == sandbox.requests


def test_stored_answer_costs_nothing() -> None:
    """A repeated key returns the stored answer, uses no tokens, and needs no budget."""
    sandbox = OpenAISandbox()
    with hub(sandbox) as free_hub:
        used = tokens_of_one_request(sandbox, free_hub)
    with hub(sandbox, daily_tokens=MOST + used) as limited_hub:
        inference = limited_hub.inference()
        first = inference.generate(REQUEST, idempotency_key="k-1")
        repeats = [inference.generate(REQUEST, idempotency_key="k-1") for _ in range(3)]
        inference.generate(REQUEST)
        late_repeat = inference.generate(REQUEST, idempotency_key="k-1")
        with pytest.raises(RateLimitExceeded):
            inference.generate(REQUEST, idempotency_key="k-2")

    assert [first.text] * 4 == [item.text for item in (*repeats, late_repeat)]
    assert late_repeat.replayed
    assert 2 == len(sandbox.requests)


def test_refused_key_may_be_used_once_the_budget_is_larger(tmp_path: Path) -> None:
    """A request that the budget refused can be sent under its key after the budget was raised."""
    sandbox = OpenAISandbox()
    with SqliteStorage(tmp_path / "state.db") as store:
        with hub(sandbox, store, daily_tokens=MOST) as limited_hub:
            limited_hub.inference().generate(REQUEST)
            with pytest.raises(RateLimitExceeded):
                limited_hub.inference().generate(REQUEST, idempotency_key="k-1")
        with hub(sandbox, store, daily_tokens=2 * MOST) as larger_hub:
            answer = larger_hub.inference().generate(REQUEST, idempotency_key="k-1")

    assert not answer.replayed
    assert 2 == len(sandbox.requests)


@pytest.mark.parametrize("is_lost", [True, False], ids=["lost", "refused"])
def test_failed_request_counts_only_if_it_may_have_been_billed(is_lost: bool) -> None:
    """After a lost answer, the tokens stay taken; a refused request gives its tokens back."""
    sandbox = OpenAISandbox()
    with hub(sandbox, daily_tokens=2 * MOST - 1) as limited_hub:
        sandbox.fail(Lost() if is_lost else Response(429))
        with pytest.raises(ConnectionFailed if is_lost else RateLimitExceeded):
            limited_hub.inference().generate(REQUEST)
        if is_lost:
            with pytest.raises(RateLimitExceeded):
                limited_hub.inference().generate(REQUEST)
        else:
            limited_hub.inference().generate(REQUEST)


def test_tenants_have_budgets_of_their_own() -> None:
    """Each tenant may use the whole budget of the account."""
    sandbox = OpenAISandbox()
    with hub(sandbox, daily_tokens=MOST) as limited_hub:
        for tenant in (None, "acme", "umbrella"):
            limited_hub.inference(tenant).generate(REQUEST)
            with pytest.raises(RateLimitExceeded):
                limited_hub.inference(tenant).generate(REQUEST)


def test_embeddings_use_the_same_budget() -> None:
    """Requests for embeddings and for answers use the same budget."""
    sandbox = OpenAISandbox()
    texts = EmbeddingRequest(["x" * 400])
    with hub(sandbox, daily_tokens=texts.most_tokens) as limited_hub:
        limited_hub.inference().embed(texts)
        with pytest.raises(RateLimitExceeded):
            limited_hub.inference().embed(texts)
        with pytest.raises(InvalidData):
            limited_hub.inference().generate(REQUEST)


def test_other_account_is_used_once_the_budget_is_used_up() -> None:
    """If the first account has no tokens left, the next account of the route takes the request."""
    first, second = OpenAISandbox(), OpenAISandbox()
    accounts = [account(first, "first", daily_tokens=MOST), account(second, "second")]
    accounts[1] = Account(
        "second", accounts[1].vendor, settings={"base_url": "https://b.example/v1"}
    )
    second.hosts = ("b.example",)
    with Hub(
        accounts,
        routes=[Route("inference", ["first", "second"])],
        http=SandboxHttpClient(first, second),
    ) as both:
        for key in (None, None, "k-1"):
            both.inference().generate(REQUEST, idempotency_key=key)

    assert (1, 2) == (len(first.requests), len(second.requests))


def test_dry_run_takes_no_tokens() -> None:
    """A rehearsed request is reported, and takes no tokens from the budget."""
    sandbox = OpenAISandbox()
    with Hub(
        [account(sandbox, daily_tokens=MOST)],
        http=SandboxHttpClient(sandbox),
        safety=Safety(dry_run=True),
    ) as limited_hub:
        for _ in range(3):
            with pytest.raises(DryRun):
                limited_hub.inference().generate(REQUEST)


def test_threads_never_use_more_than_the_budget(tmp_path: Path) -> None:
    """Twenty callers of two hubs with one store never use more tokens than the budget."""
    sandbox = OpenAISandbox()
    sandbox.say(*["x" * 1_600] * 40)
    budget = 20 * MOST
    store_path = tmp_path / "state.db"

    def ask(limited_hub: Hub) -> int:
        try:
            return limited_hub.inference().generate(REQUEST).usage.total
        except RateLimitExceeded:
            return 0

    with SqliteStorage(store_path) as first_store, SqliteStorage(store_path) as second_store:
        hubs = [hub(sandbox, store, daily_tokens=budget) for store in (first_store, second_store)]
        with ThreadPoolExecutor(20) as executor:
            used = sum(executor.map(ask, hubs * 40))
        for limited_hub in hubs:
            limited_hub.close()

    assert budget / 2 < used <= budget


def test_async_hub_counts_the_same() -> None:
    """An asynchronous hub enforces the same budget."""
    sandbox = OpenAISandbox()

    async def ask() -> list[object]:
        async with AsyncHub(
            [account(sandbox, daily_tokens=MOST)], http=AsyncSandboxHttpClient(sandbox)
        ) as limited_hub:
            asks = [limited_hub.inference().generate(REQUEST) for _ in range(3)]
            return await asyncio.gather(*asks, return_exceptions=True)

    results = asyncio.run(ask())
    assert 2 == sum(isinstance(item, RateLimitExceeded) for item in results)


def answer_counting(tokens: int) -> Response:
    """Return an answer for which the vendor counts this number of tokens."""
    choice = {"message": {"content": "a"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": tokens, "completion_tokens": 0}
    return reply({"id": "1", "model": "m", "choices": [choice], "usage": usage})


def test_tokens_beyond_the_estimate_also_use_the_budget() -> None:
    """If a vendor counts more tokens than the request had taken, the budget loses them too."""
    sandbox = OpenAISandbox()
    with hub(sandbox, daily_tokens=4 * MOST, monthly_tokens=20 * MOST) as limited_hub:
        sandbox.fail(answer_counting(3 * MOST))
        limited_hub.inference().generate(REQUEST)
        sandbox.fail(answer_counting(MOST))
        limited_hub.inference().generate(REQUEST)
        with pytest.raises(RateLimitExceeded):
            limited_hub.inference().generate(REQUEST)


def test_an_absurd_count_uses_the_budgets_of_one_period() -> None:
    """An absurdly large token count uses up the budgets of the day and the month, but no more."""
    sandbox = OpenAISandbox()
    with hub(sandbox, daily_tokens=2 * MOST, monthly_tokens=3 * MOST) as limited_hub:
        sandbox.fail(answer_counting(10**30))
        limited_hub.inference().generate(REQUEST)
        with pytest.raises(RateLimitExceeded) as excinfo:
            limited_hub.inference().generate(REQUEST)

    assert excinfo.value.retry_at is not None
    assert 1 == excinfo.value.retry_at.day


def test_negative_count_gives_back_no_more_than_was_taken() -> None:
    """A negative token count from a vendor does not make the budget larger."""
    sandbox = OpenAISandbox()
    with hub(sandbox, daily_tokens=2 * MOST) as limited_hub:
        sandbox.fail(answer_counting(MOST), answer_counting(-MOST))
        for _ in range(3):
            sandbox.say("x" * 1_600)
        for _ in range(3):
            limited_hub.inference().generate(REQUEST)
        with pytest.raises(RateLimitExceeded):
            limited_hub.inference().generate(REQUEST)


@pytest.mark.parametrize(
    "settings",
    [{"limits": (RateLimitConfig.per_minute(5_000),)}, {"limits": ()}, {"circuit": None}],
    ids=["limit", "no limit", "no circuit"],
)
def test_settings_of_the_account_leave_its_budget_as_it_is(settings: dict[str, Any]) -> None:
    """A rate limit for the requests of an account does not replace its budget of tokens."""
    sandbox = OpenAISandbox()
    limited_account = account(sandbox, daily_tokens=MOST)
    limited_account = Account("models", limited_account.vendor, settings=settings)
    with Hub([limited_account], http=SandboxHttpClient(sandbox)) as limited_hub:
        limited_hub.inference().generate(REQUEST)
        with pytest.raises(RateLimitExceeded, match="budget"):
            limited_hub.inference().generate(REQUEST)


class UnreachableStore:
    """A shared store that does not answer."""

    def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Raise the error of an unreachable store."""
        raise StorageUnavailable("The store does not answer.")

    def post(self, command: Any, /) -> None:
        """Drop a posted command, because the store is unreachable."""


def test_no_request_is_sent_while_the_store_of_the_budget_is_away() -> None:
    """Without the shared store, no process knows the remaining tokens, so requests are refused."""
    sandbox = OpenAISandbox()
    store: Any = UnreachableStore()
    limited_hub = hub(sandbox, store, daily_tokens=10 * MOST)
    with limited_hub, pytest.raises(StorageUnavailable):
        limited_hub.inference().generate(REQUEST)

    assert [] == sandbox.requests


def retrying_hub(sandbox: OpenAISandbox, tokens: int, store: Any = None) -> Hub:
    """Return a hub with a daily budget that sends a request again at once after a lost answer."""
    policy = {"retry": RetryPolicy(base_delay=0), "circuit": None}
    vendor = account(sandbox, daily_tokens=tokens).vendor
    return Hub(
        [Account("models", vendor, settings=policy)], http=SandboxHttpClient(sandbox), state=store
    )


@pytest.mark.parametrize(
    "fault, is_counted",
    [
        (Lost(), True),
        (Response(500), True),
        (Response(200, body=b"<html>"), True),
        (Response(429, {"Retry-After": "0"}), False),
    ],
    ids=["lost", "server error", "unreadable", "refused"],
)
@pytest.mark.parametrize("is_enough", [True, False], ids=["enough", "too few"])
def test_failed_attempt_counts_although_a_retry_succeeds(
    fault: Any, is_counted: bool, is_enough: bool
) -> None:
    """Each attempt that the vendor may have billed counts with all its tokens."""
    sandbox = OpenAISandbox()
    with hub(sandbox) as free_hub:
        used = tokens_of_one_request(sandbox, free_hub)
    tokens = MOST + used + is_counted * MOST - (not is_enough)
    with retrying_hub(sandbox, tokens) as limited_hub:
        sandbox.fail(fault)
        limited_hub.inference().generate(REQUEST)
        assert 2 == len(sandbox.requests)
        if is_enough:
            limited_hub.inference().generate(REQUEST)
        else:
            with pytest.raises(RateLimitExceeded):
                limited_hub.inference().generate(REQUEST)


def test_request_is_not_sent_again_without_tokens_for_the_retry() -> None:
    """After a lost answer, a retry needs tokens of its own; without them nothing more is sent."""
    sandbox = OpenAISandbox()
    with retrying_hub(sandbox, 2 * MOST - 1) as limited_hub:
        sandbox.fail(Lost())
        with pytest.raises(RateLimitExceeded) as excinfo:
            limited_hub.inference().generate(REQUEST)

    assert 1 == len(sandbox.requests)
    assert (1, True) == (excinfo.value.attempts, excinfo.value.may_have_been_processed)
    assert isinstance(excinfo.value.__cause__, ConnectionFailed)


def test_key_of_a_lost_answer_is_sent_again_once_the_budget_is_larger(tmp_path: Path) -> None:
    """If the budget refused the retry, a repeat with the key sends the request again later."""
    sandbox = OpenAISandbox()
    with SqliteStorage(tmp_path / "state.db") as store:
        with retrying_hub(sandbox, MOST, store) as limited_hub:
            sandbox.fail(Lost())
            with pytest.raises((RateLimitExceeded, OutcomeUnknown)):
                limited_hub.inference().generate(REQUEST, idempotency_key="k-1")
        with retrying_hub(sandbox, 2 * MOST, store) as larger_hub:
            inference = larger_hub.inference()
            answers = [inference.generate(REQUEST, idempotency_key="k-1") for _ in range(2)]

    assert [False, True] == [answer.replayed for answer in answers]
    assert 2 == len(sandbox.requests)


def test_answers_that_a_server_loses_count(tmp_path: Path) -> None:
    """If a real server closes the connection instead of answering, each attempt counts."""
    sandbox = OpenAISandbox()
    with sandbox.serving() as server, SqliteStorage(tmp_path / "state.db") as store:
        vendor = OpenAI(
            credentials=sandbox.api_key,
            model="model-large",
            base_url=f"{server.url}/v1",
            daily_tokens=4 * MOST,
        )
        settings = {"retry": RetryPolicy(base_delay=0), "circuit": None}
        with Hub([Account("models", vendor, settings=settings)], state=store) as limited_hub:
            sandbox.fail(Lost(), Lost(), None)
            used = limited_hub.inference().generate(REQUEST).usage.total
            largest_request = GenerationRequest("x" * 39, max_tokens=400 + MOST - used)
            with pytest.raises(RateLimitExceeded):
                limited_hub.inference().generate(
                    GenerationRequest("x" * 39, max_tokens=401 + MOST - used)
                )
            limited_hub.inference().generate(largest_request)

    assert 4 == len(sandbox.requests)


def test_each_hedged_request_counts() -> None:
    """A second request that is sent because the first is slow takes tokens of its own."""
    sandbox = OpenAISandbox()

    async def ask() -> int:
        with sandbox.serving() as server:
            vendor = OpenAI(
                credentials=sandbox.api_key,
                model="model-large",
                base_url=f"{server.url}/v1",
                daily_tokens=3 * MOST - 1,
            )
            settings = {"retry": None, "hedge": HedgeConfig(0.01)}
            async with AsyncHub([Account("models", vendor, settings=settings)]) as limited_hub:
                sandbox.fail(SlowAnswer(3_600))
                used = (await limited_hub.inference().generate(REQUEST)).usage.total
                # The slow request was cancelled, so it counts with all its tokens.
                larger_request = GenerationRequest("x" * 39, max_tokens=400 + MOST - used)
                with pytest.raises(RateLimitExceeded):
                    await limited_hub.inference().generate(larger_request)
                fitting_request = GenerationRequest("x" * 39, max_tokens=399 + MOST - used)
                await limited_hub.inference().generate(fitting_request)
                return used

    assert asyncio.run(ask()) < MOST


def test_cancelled_request_counts_with_all_its_tokens() -> None:
    """A request that its caller cancels while the vendor works on it counts with all its tokens."""
    sandbox, has_ended = OpenAISandbox(), threading.Event()

    async def ask() -> None:
        loop, is_received = asyncio.get_running_loop(), asyncio.Event()

        def hold(response: Response) -> Response:
            loop.call_soon_threadsafe(is_received.set)
            has_ended.wait(120)
            return response

        with sandbox.serving() as server:
            vendor = OpenAI(
                credentials=sandbox.api_key,
                model="model-large",
                base_url=f"{server.url}/v1",
                daily_tokens=2 * MOST - 1,
            )
            async with AsyncHub([Account("models", vendor)]) as limited_hub:
                sandbox.fail(AlteredAnswer(hold))
                task = asyncio.create_task(limited_hub.inference().generate(REQUEST))
                await is_received.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                with pytest.raises(RateLimitExceeded):
                    await limited_hub.inference().generate(REQUEST)
                has_ended.set()

    asyncio.run(ask())
    assert 1 == len(sandbox.requests)


MIDNIGHT = datetime(2030, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize("is_lost", [True, False], ids=["lost", "answered"])
def test_request_over_midnight_counts_in_the_day_of_each_attempt(
    is_lost: bool, tmp_path: Path
) -> None:
    """If midnight passes during a request, its attempts count in the days that they were sent."""
    sandbox = OpenAISandbox()
    clock = VirtualClock(MIDNIGHT - timedelta(seconds=10))

    def pass_midnight(response: Response) -> Response:
        clock.advance(20)
        return Response(500) if is_lost else response

    with (
        SqliteStorage(tmp_path / "state.db", clock=clock) as store,
        retrying_hub(sandbox, 2 * MOST, store) as limited_hub,
    ):
        sandbox.fail(AlteredAnswer(pass_midnight))
        used = limited_hub.inference().generate(REQUEST).usage.total
        counted_today = used if is_lost else 0
        requests = [
            GenerationRequest("x" * 39, max_tokens=400 + MOST - counted_today + more)
            for more in (1, 0)
        ]
        with pytest.raises((InvalidData, RateLimitExceeded)):
            limited_hub.inference().generate(requests[0])
        limited_hub.inference().generate(requests[1])
