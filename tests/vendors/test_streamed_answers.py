"""Events of streamed answers of vendors of language models, as their documents show them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from moorage import ConfigurationError, VendorFailed
from moorage.contracts.inference import FinishReason, TokenUsage, ToolCall
from moorage.domain.http.server_sent_events import ServerSentEvent
from moorage.testing.sandboxes.base import reply
from moorage.vendors.inference._chat_completions import CompletionEvents, read_completion
from moorage.vendors.inference.anthropic import MessageEvents, read_message
from moorage.vendors.inference.mistral import Mistral
from moorage.vendors.inference.openai import OpenAI
from tests.vendors.inference_subjects import SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.domain.http.requests import Response
    from moorage.testing.kits.inference_conformance import Factory

MESSAGE_EVENTS: Final[tuple[dict[str, Any], ...]] = (
    {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "model-large",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {
                "input_tokens": 10,
                "cache_creation_input_tokens": 7,
                "cache_read_input_tokens": 300,
                "output_tokens": 1,
            },
        },
    },
    {"type": "ping"},
    {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "thinking", "thinking": "", "signature": ""},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "thinking_delta", "thinking": "Hm.", "text": "hidden"},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "signature_delta", "signature": "s"},
    },
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": "I"}},
    {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "text_delta", "text": " look."},
    },
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "toolu_1", "name": "find_order", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": '{"number": "10'},
    },
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": '42"}'},
    },
    {"type": "content_block_stop", "index": 2},
    {
        "type": "content_block_start",
        "index": 3,
        "content_block": {"type": "tool_use", "id": "toolu_2", "name": "list", "input": {}},
    },
    {"type": "content_block_stop", "index": 3},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"input_tokens": None, "output_tokens": 15},
    },
)

CHUNK: Final = {"id": "cmpl-1", "object": "chat.completion.chunk", "model": "model-large"}
USAGE: Final = {"prompt_tokens": 317, "completion_tokens": 4, "num_cached_tokens": 300}


def event_of(data: object) -> ServerSentEvent:
    """Return an event with this data as JSON."""
    return ServerSentEvent("message", json.dumps(data))


def chunk_of(delta: dict[str, Any] | None, reason: str | None = None) -> dict[str, Any]:
    """Return a chunk of a completion with one choice; None makes a choice without a delta."""
    choice = {"index": 0, "finish_reason": reason}
    return {**CHUNK, "choices": [choice if delta is None else {**choice, "delta": delta}]}


def read_mistral(response: Response) -> Any:
    """Read a completion of Mistral."""
    return read_completion(
        response, reasons=Mistral.finish_reasons, cached_field=Mistral.cached_field
    )


def read_openai(response: Response) -> Any:
    """Read a completion of OpenAI."""
    return read_completion(
        response, reasons=OpenAI.finish_reasons, cached_field=OpenAI.cached_field
    )


def completed(events: CompletionEvents, chunks: Iterable[dict[str, Any]]) -> tuple[list[str], Any]:
    """Return the pieces of a completion and the complete answer."""
    pieces = [events.read(event_of(chunk)) for chunk in chunks]
    assert None is events.generation
    assert "" == events.read(ServerSentEvent("message", "[DONE]"))
    return pieces, events.generation


def test_message_of_anthropic_is_collected_from_its_events() -> None:
    """The text, the tool calls and the usage of a message are collected from all its events."""
    events = MessageEvents()
    pieces = [events.read(event_of(item)) for item in MESSAGE_EVENTS]
    assert None is events.generation
    assert "" == events.read(event_of({"type": "message_stop"}))

    generation: Any = events.generation
    assert ["I", " look."] == [piece for piece in pieces if piece]
    assert ("msg_1", "model-large", "I look.") == (
        generation.id,
        generation.model,
        generation.text,
    )
    assert (FinishReason.TOOL_CALLS, "tool_use") == (generation.finish, generation.vendor_finish)
    assert TokenUsage(input=317, output=15, cached=300) == generation.usage
    assert (
        ToolCall("toolu_1", "find_order", {"number": "1042"}),
        ToolCall("toolu_2", "list", {}),
    ) == generation.tool_calls
    assert "text" not in generation.raw["content"][0]


def test_block_of_anthropic_without_a_start_is_malformed() -> None:
    """A part of a block that has not begun is an error."""
    events = MessageEvents()
    events.read(event_of(MESSAGE_EVENTS[0]))

    with pytest.raises(VendorFailed, match="content_block_start") as excinfo:
        events.read(event_of({**MESSAGE_EVENTS[7], "index": 0}))

    assert 200 == excinfo.value.status


@pytest.mark.parametrize(
    "error, code",
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, "overloaded_error"),
        ({"type": "server_error", "code": "rate_limited", "message": "No."}, "rate_limited"),
        ({"message": "No."}, None),
        ("No.", None),
    ],
)
def test_error_event_ends_a_streamed_answer(error: object, code: str | None) -> None:
    """An event with an error raises `VendorFailed` with the vendor's code, or else its type."""
    for events in (MessageEvents(), CompletionEvents("mistral", read_mistral)):
        with pytest.raises(VendorFailed, match="before it was complete") as excinfo:
            events.read(event_of({"type": "error", "error": error}))
        assert code == excinfo.value.vendor_code


def test_completion_is_collected_from_its_chunks() -> None:
    """Texts, tool calls in turns, the finish reason and the usage come from all chunks."""
    first_call = {"index": 0, "id": "call-1", "function": {"name": "find", "arguments": '{"a"'}}
    second_call = {"index": 1, "id": "call-2", "function": {"name": "list", "arguments": ""}}
    pieces, generation = completed(
        CompletionEvents("mistral", read_mistral),
        (
            chunk_of({"role": "assistant", "content": ""}),
            chunk_of({"content": "I "}),
            chunk_of({"content": [{"type": "text", "text": "look."}]}),
            chunk_of({"tool_calls": [second_call]}),
            chunk_of({"tool_calls": [first_call]}),
            chunk_of({"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}),
            chunk_of({"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]}),
            chunk_of({}, "tool_calls"),
            chunk_of(None),
            {**CHUNK, "choices": [], "usage": USAGE},
        ),
    )

    assert ["I ", "look."] == [piece for piece in pieces if piece]
    assert ("cmpl-1", "model-large", "I look.") == (
        generation.id,
        generation.model,
        generation.text,
    )
    assert (FinishReason.TOOL_CALLS, "tool_calls") == (generation.finish, generation.vendor_finish)
    assert TokenUsage(input=317, output=4, cached=300) == generation.usage
    assert (
        ToolCall("call-1", "find", {"a": 1}),
        ToolCall("call-2", "list", {}),
    ) == generation.tool_calls


def test_tool_calls_without_an_index_are_told_apart_by_their_order() -> None:
    """Calls of one chunk without an index keep their order; their arguments may be objects."""
    calls = [
        {"id": f"call-{number}", "function": {"name": "find", "arguments": {"a": number}}}
        for number in (1, 2)
    ]
    _, generation = completed(
        CompletionEvents("mistral", read_mistral),
        (chunk_of({"tool_calls": calls}, "tool_calls"), {**CHUNK, "choices": [], "usage": USAGE}),
    )

    assert (
        ToolCall("call-1", "find", {"a": 1}),
        ToolCall("call-2", "find", {"a": 2}),
    ) == generation.tool_calls


def test_refusal_of_openai_is_collected_from_its_chunks() -> None:
    """The parts of a refusal are pieces of the answer, and its reason is the refusal."""
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 5},
    }
    pieces, generation = completed(
        CompletionEvents("openai", read_openai),
        (
            chunk_of({"refusal": "I "}),
            chunk_of({"refusal": "cannot."}),
            chunk_of({}, "stop"),
            {**CHUNK, "choices": [], "usage": usage},
        ),
    )

    assert ["I ", "cannot."] == [piece for piece in pieces if piece]
    assert ("I cannot.", FinishReason.REFUSED) == (generation.text, generation.finish)
    assert TokenUsage(input=9, output=3, cached=5) == generation.usage


def test_message_of_anthropic_names_its_missing_field() -> None:
    """An error about a message names the field that is missing."""
    with pytest.raises(VendorFailed, match=r"usage\.input_tokens"):
        read_message(reply({"content": [], "model": "m", "usage": {"output_tokens": 1}}))


@pytest.mark.parametrize("subject", SUBJECTS)
def test_budget_and_time_of_an_account_of_models_are_limited(subject: Factory) -> None:
    """A budget has at most 10**15 tokens, and an answer at most two minutes."""
    vendor: Any = subject().kind
    options = {"model": "model-large", "credentials": "k"}

    settings = vendor(**options, daily_tokens=10**15, monthly_tokens=10**15).settings()
    assert (120.0, 110.0) == (settings["timeout"], settings["attempt_timeout"])
    for name in ("daily_tokens", "monthly_tokens"):
        for value in (0, 10**15 + 1):
            with pytest.raises(ConfigurationError, match=name):
                vendor(**options, **{name: value})
