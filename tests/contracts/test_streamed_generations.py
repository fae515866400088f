"""Answers of language models arrive in pieces, with deadline, cancellation and budget."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from moorage import AsyncHub, Hub, InvalidData, RateLimitExceeded, RetryPolicy, UnsupportedByVendor
from moorage.contracts.inference import GenerationRequest, InferenceCapability
from moorage.contracts.routes import Account
from moorage.domain.observation.call_events import CallFinished
from moorage.domain.service.safety import Safety
from moorage.errors import ConnectionFailed, DeadlineExceeded, DryRun, VendorFailed
from moorage.hub.service_status import service_statuses
from moorage.testing import Behaviour, VendorServer
from moorage.testing.sandboxes.base import (
    AlteredAnswer,
    AsyncSandboxHttpClient,
    Lost,
    SandboxHttpClient,
)
from moorage.testing.sandboxes.inference.base import event_stream
from moorage.testing.sandboxes.inference.openai import OpenAISandbox
from moorage.vendors.inference.openai import OpenAI

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response

REQUEST = GenerationRequest("one two three", max_tokens=400)
MOST = REQUEST.most_tokens


def account(sandbox: OpenAISandbox, kind: type[OpenAI] = OpenAI, **options: Any) -> Account:
    """Return an account at a sandbox that repeats lost requests at once."""
    vendor = kind(credentials=sandbox.api_key, model="model-large", **options)
    settings = {"retry": RetryPolicy(base_delay=0), "circuit": None}
    return Account("models", vendor, settings=settings)


def hub_of(sandbox: OpenAISandbox, **options: Any) -> Hub:
    """Return a hub whose account has these options."""
    return Hub([account(sandbox, **options)], http=SandboxHttpClient(sandbox))


def cut(response: Response) -> Response:
    """Return a streamed answer that breaks off after its second word."""
    end = response.body.index(b"one")
    return response.evolve(body=response.body[: response.body.rfind(b"\n\n", 0, end) + 2])


def cut_at_once(response: Response) -> Response:
    """Return a streamed answer that breaks off before its first word."""
    return response.evolve(body=b"")


def left_tokens(hub: Hub) -> int | None:
    """Return the tokens that are left of the day's budget."""
    (status,) = service_statuses(hub, None, ("models.budget",))
    return status.limits[0].left


def test_pieces_are_the_text_and_the_answer_follows() -> None:
    """A stream yields the text in pieces; the complete answer is there after its end."""
    sandbox = OpenAISandbox()
    with hub_of(sandbox) as hub, hub.inference().stream(REQUEST) as arriving:
        first = next(arriving)
        assert arriving.generation is None
        assert first == arriving.text
        pieces = [first, *arriving]

    assert ["You ", "wrote: ", "one ", "two ", "three"] == pieces
    assert arriving.generation is not None
    assert "".join(pieces) == arriving.generation.text == arriving.text
    assert "" == arriving.read()


def test_rest_of_an_answer_can_be_read_at_once() -> None:
    """`finish` reads the rest of the answer, in synchronous and asynchronous programs."""
    sandbox = OpenAISandbox()
    with hub_of(sandbox) as hub:
        text = hub.inference().stream(REQUEST).finish().text

    async def read() -> list[str]:
        async with (
            AsyncHub([account(sandbox)], http=AsyncSandboxHttpClient(sandbox)) as async_hub,
            await async_hub.inference().stream(REQUEST) as arriving,
        ):
            first = await anext(arriving)
            answer = await arriving.finish()
            return [first, answer.text, *[piece async for piece in arriving]]

    assert "You wrote: one two three" == text
    assert ["You ", text] == asyncio.run(read())


def test_ended_answer_is_not_complete() -> None:
    """An answer that was ended early has no complete result."""
    with hub_of(OpenAISandbox()) as hub:
        arriving = hub.inference().stream(REQUEST)
        arriving.read()
        arriving.settle()
        with pytest.raises(InvalidData, match="ended before it was complete"):
            arriving.finish()

    assert "You " == arriving.text


@pytest.mark.parametrize("change", [None, cut, cut_at_once], ids=["whole", "cut", "cut at once"])
def test_budget_counts_a_stream(change: Any) -> None:
    """A whole stream counts with its usage, and every broken one with all its tokens."""
    sandbox, budget = OpenAISandbox(), 4 * MOST
    with hub_of(sandbox, daily_tokens=budget) as hub:
        if change is not None:
            sandbox.fail(AlteredAnswer(change))
        arriving = hub.inference().stream(REQUEST)
        if change is cut:
            with pytest.raises(ConnectionFailed):
                arriving.finish()
            used = MOST
        else:
            used = arriving.finish().usage.total + (MOST if change else 0)
        assert budget - used == left_tokens(hub)


def test_request_for_a_stream_is_refused_without_tokens() -> None:
    """If the budget has too few tokens, nothing is sent; also not after a broken stream."""
    sandbox = OpenAISandbox()
    with hub_of(sandbox, daily_tokens=2 * MOST - 1) as hub:
        sandbox.fail(AlteredAnswer(cut_at_once))
        with pytest.raises(RateLimitExceeded):
            hub.inference().stream(REQUEST).finish()
        with pytest.raises(RateLimitExceeded):
            hub.inference().stream(REQUEST)

    assert 1 == len(sandbox.requests)


def test_stream_that_broke_keeps_its_text_and_is_not_sent_again() -> None:
    """After the first piece, a broken stream raises an error that names the account."""
    sandbox = OpenAISandbox()
    with hub_of(sandbox) as hub:
        sandbox.fail(AlteredAnswer(cut))
        arriving = hub.inference().stream(REQUEST)
        with pytest.raises(ConnectionFailed, match="before the model's answer") as caught:
            arriving.finish()

    assert "You wrote: " == arriving.text
    assert 1 == len(sandbox.requests)
    assert caught.value.may_have_been_processed
    assert ("openai", "models", "inference.stream") == (
        caught.value.vendor,
        caught.value.account,
        caught.value.operation,
    )


def test_lost_answer_is_requested_again_before_its_stream_begins() -> None:
    """If no response arrives, the request is sent again like any other."""
    sandbox = OpenAISandbox()
    with hub_of(sandbox) as hub:
        sandbox.fail(Lost())
        assert hub.inference().stream(REQUEST).finish().text
    assert 2 == len(sandbox.requests)


def test_unreadable_event_is_a_failure_without_its_text() -> None:
    """An event that is not JSON raises an error that does not show the event."""
    sandbox = OpenAISandbox()
    chunk = {"id": "1", "model": "m", "choices": [{"delta": {"content": "Hello"}}]}
    with hub_of(sandbox) as hub:
        sandbox.fail(event_stream((None, chunk), (None, "secret words")))
        arriving = hub.inference().stream(REQUEST)
        with pytest.raises(VendorFailed) as caught:
            arriving.finish()

    assert "Hello" == arriving.text
    assert "secret" not in f"{caught.value}{caught.value!r}"


def test_endless_answer_is_refused() -> None:
    """An answer of more than 64 MiB is refused instead of filling the memory."""
    sandbox = OpenAISandbox()
    events = event_stream((None, {"choices": [{"delta": {}}], "pad": "x" * 1_000_000}))
    with hub_of(sandbox) as hub:
        sandbox.fail(events.evolve(body=events.body * 70))
        with pytest.raises(VendorFailed, match="more than 64 MiB"):
            hub.inference().stream(REQUEST).finish()
    assert 1 == len(sandbox.requests)


def silent_server(sandbox: OpenAISandbox) -> VendorServer:
    """Return a server that sends the first two words of each answer, and then nothing more."""

    def answer(received: Any) -> Behaviour:
        whole = sandbox.behave(received)
        end = whole.body.rfind(b"\n\n", 0, whole.body.index(b"one")) + 2
        return Behaviour(200, whole.headers, whole.body, cut=end)

    server = VendorServer()
    server.always(answer)
    return server


def test_pieces_arrive_before_the_answer_is_complete() -> None:
    """Pieces are returned while the vendor is still writing."""
    sandbox = OpenAISandbox()
    with (
        silent_server(sandbox) as server,
        Hub([account(sandbox, base_url=f"{server.url}/v1")]) as hub,
        hub.inference().stream(REQUEST) as arriving,
    ):
        assert ["You ", "wrote: "] == [arriving.read(), arriving.read()]
        assert arriving.generation is None


def test_deadline_ends_a_silent_stream() -> None:
    """The timeout limits the whole answer, and the request is not sent again after it."""
    sandbox = OpenAISandbox()
    with (
        silent_server(sandbox) as server,
        Hub([account(sandbox, base_url=f"{server.url}/v1")]) as hub,
        pytest.raises(DeadlineExceeded),
    ):
        hub.inference().stream(REQUEST, timeout=1).finish()

    assert 1 >= len(sandbox.requests)


def test_cancelled_stream_counts_with_all_its_tokens() -> None:
    """A task that is cancelled while it waits for a piece closes the stream."""
    sandbox = OpenAISandbox()

    async def read() -> str:
        with silent_server(sandbox) as server:
            vendor_account = account(
                sandbox, base_url=f"{server.url}/v1", daily_tokens=2 * MOST - 1
            )
            async with AsyncHub([vendor_account]) as hub:
                arriving = await hub.inference().stream(REQUEST)
                await arriving.read()
                await arriving.read()
                task = asyncio.create_task(arriving.read())
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert "" == await arriving.read()
                with pytest.raises(RateLimitExceeded):
                    await hub.inference().stream(REQUEST)
                return arriving.text

    assert "You wrote: " == asyncio.run(read())


def test_observers_see_a_complete_stream_as_done() -> None:
    """A stream that was read to its end is reported as finished, an ended one as cancelled."""
    sandbox, events = OpenAISandbox(), list[Any]()
    with Hub([account(sandbox)], http=SandboxHttpClient(sandbox), observers=[events.append]) as hub:
        hub.inference().stream(REQUEST).finish()
        hub.inference().stream(REQUEST).settle()

    ends = [event for event in events if isinstance(event, CallFinished)]
    assert [False, True] == [event.cancelled for event in ends]


def test_dry_run_opens_no_stream() -> None:
    """A rehearsed stream is reported, and nothing is sent."""
    sandbox = OpenAISandbox()
    client = SandboxHttpClient(sandbox)
    with (
        Hub([account(sandbox)], http=client, safety=Safety(dry_run=True)) as hub,
        pytest.raises(DryRun),
    ):
        hub.inference().stream(REQUEST)
    assert [] == sandbox.requests


class WholeAnswers(OpenAI):
    """A vendor without streams."""

    capabilities = frozenset(InferenceCapability) - {InferenceCapability.STREAMS}


def test_vendor_without_streams_is_refused() -> None:
    """If the vendor has no streams, nothing is sent."""
    sandbox = OpenAISandbox()
    with hub_of(sandbox, kind=WholeAnswers) as hub, pytest.raises(UnsupportedByVendor):
        hub.inference().stream(REQUEST)
    with hub_of(sandbox) as hub, pytest.raises(InvalidData):
        hub.inference().stream("Hello")  # type: ignore[arg-type]  # on purpose
    assert [] == sandbox.requests
