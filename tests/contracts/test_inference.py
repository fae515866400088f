"""Requests to language models are checked, and their results continue a conversation."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import InvalidData
from moorage.contracts.inference import (
    EmbeddingRequest,
    FinishReason,
    Generation,
    GenerationRequest,
    InferenceCapability,
    ModelImage,
    ModelTool,
    Speaker,
    TokenUsage,
    ToolCall,
    ToolResult,
    Turn,
)

CALL = ToolCall("c-1", "find_order", {"number": "7"})
IMAGE = ModelImage(content=b"GIF89a", media_type="image/gif")
TOOL = ModelTool("find_order", "Find an order.", {"type": "object"})


def answer(text: str, **fields: Any) -> Generation:
    """Return a result with this text."""
    defaults: dict[str, Any] = {"finish": FinishReason.COMPLETE, "usage": TokenUsage(input=3)}
    return Generation(id="1", text=text, model="m", **{**defaults, **fields})


@pytest.mark.parametrize(
    "make, field",
    [
        (Turn, "text"),
        (lambda: Turn("a", tool_calls=[CALL]), "tool_calls"),
        (lambda: Turn("a", speaker=Speaker.MODEL, images=[IMAGE]), "images"),
        (lambda: Turn(speaker=Speaker.MODEL, tool_results=[ToolResult("1", "a")]), "tool_results"),
        (lambda: Turn(7), "text"),  # type: ignore[arg-type]  # is refused
        (lambda: GenerationRequest([]), "turns"),
        (lambda: GenerationRequest(""), "text"),
        (lambda: GenerationRequest([Turn("a", speaker=Speaker.MODEL)]), "turns"),
        (lambda: GenerationRequest([Turn("a"), Turn("b", speaker=Speaker.MODEL)]), "turns"),
        (lambda: GenerationRequest(["a"]), "turns[0]"),
        (lambda: GenerationRequest("a", tools=[TOOL, TOOL]), "tools"),
        (lambda: GenerationRequest("a", max_tokens=0), "max_tokens"),
        (lambda: GenerationRequest("a", max_tokens=True), "max_tokens"),
        (lambda: GenerationRequest("a", temperature=2.5), "temperature"),
        (lambda: GenerationRequest("a", temperature=float("nan")), "temperature"),
        (lambda: GenerationRequest("a", temperature=True), "temperature"),
        (lambda: GenerationRequest("a", schema={"x": object()}), "schema"),
        (lambda: GenerationRequest("a", schema=[1]), "schema"),  # type: ignore[arg-type]  # is refused
        (lambda: GenerationRequest("a", instructions=""), "instructions"),
        (lambda: GenerationRequest("a", model=""), "model"),
        (lambda: ModelTool("find order", "Find.", {}), "name"),
        (lambda: ModelTool("f" * 65, "Find.", {}), "name"),
        (lambda: ModelTool("f", "", {}), "description"),
        (lambda: ModelTool("f", "Find.", None), "parameters"),  # type: ignore[arg-type]  # is refused
        (lambda: ModelImage(content=b"", media_type="image/svg+xml"), "media_type"),
        (lambda: ModelImage(content=b"", media_type=["image/png"]), "media_type"),  # type: ignore[arg-type]  # is refused
        (lambda: ToolCall("1", "f", {"a": {1}}), "arguments"),
        (lambda: ToolCall("1", "f", {"a": float("inf")}), "arguments"),
        (lambda: ToolCall("1", "f", {"a": "\ud800"}), "arguments"),
        (lambda: ModelTool("f", "Find.", {"title": "\ud800"}), "parameters"),
        (lambda: EmbeddingRequest([]), "texts"),
        (lambda: EmbeddingRequest(["a", ""]), "texts"),
        (lambda: EmbeddingRequest([7]), "texts[0]"),
        (lambda: EmbeddingRequest("a", dimensions=0), "dimensions"),
    ],
)
def test_invalid_request_is_refused(make: Any, field: str) -> None:
    """The error for an invalid request names the field, and contains no text of the request."""
    with pytest.raises(InvalidData) as excinfo:
        make()

    assert field == excinfo.value.field
    assert excinfo.value.remedy


@pytest.mark.parametrize(
    "request_, needs",
    [
        (GenerationRequest("a"), set()),
        (GenerationRequest("a", temperature=0), {InferenceCapability.TEMPERATURE}),
        (GenerationRequest([Turn("a", images=[IMAGE])]), {InferenceCapability.IMAGES}),
        (GenerationRequest("a", tools=[TOOL]), {InferenceCapability.TOOLS}),
        (
            GenerationRequest([Turn(tool_results=[ToolResult("1", "a")])]),
            {InferenceCapability.TOOLS},
        ),
        (GenerationRequest("a", schema={}), {InferenceCapability.SCHEMA}),
    ],
)
def test_request_names_the_capabilities_that_it_needs(
    request_: GenerationRequest, needs: set[str]
) -> None:
    """A request needs a capability for each optional field that it uses."""
    assert needs == request_.needs


def test_answer_becomes_a_turn_of_the_model() -> None:
    """The result of a request continues the conversation, with its tool calls."""
    turn = answer("I look.", tool_calls=(CALL,)).turn

    assert Turn("I look.", speaker=Speaker.MODEL, tool_calls=[CALL]) == turn


def test_json_answer_is_read_and_a_truncated_one_raises_an_error() -> None:
    """A JSON answer is parsed; a truncated one raises an error that states the cause."""
    assert {"kind": "invoice"} == answer('{"kind": "invoice"}').json()
    for text in ('{"kind": "inv', "", "[" * 100_000, '{"kind": NaN}', "-Infinity"):
        with pytest.raises(InvalidData, match="it ended with length") as excinfo:
            answer(text, finish=FinishReason.LENGTH).json()
        assert "max_tokens" in str(excinfo.value.remedy)


def test_maximum_of_tokens_counts_each_byte_of_text() -> None:
    """The maximum of tokens includes each byte of text, and fixed numbers for images and turns."""
    empty = GenerationRequest("a", max_tokens=1).most_tokens
    assert empty + 2 == GenerationRequest("aé", max_tokens=1).most_tokens
    assert empty + 9 == GenerationRequest("a", max_tokens=10).most_tokens
    assert empty + 3 == GenerationRequest("a", instructions="abc", max_tokens=1).most_tokens
    images = GenerationRequest([Turn("a", images=[IMAGE] * 2)], max_tokens=1)
    assert empty + 10_000 == images.most_tokens
    tools = GenerationRequest("a", tools=[TOOL], max_tokens=1)
    assert empty + 20 + len('find_orderFind an order.{"type": "object"}') == tools.most_tokens
    turns = [
        Turn("a"),
        Turn("bc", speaker=Speaker.MODEL, tool_calls=[CALL]),
        Turn(tool_results=[ToolResult("c-1", "paid")]),
    ]
    talk = GenerationRequest(turns, max_tokens=1)
    assert empty + 4 * 20 + 2 + len('c-1find_order{"number": "7"}c-1paid') == talk.most_tokens
    schema = GenerationRequest("a", schema={"type": "object"}, max_tokens=1)
    assert empty - 2 + len('{"type": "object"}') == schema.most_tokens
    assert EmbeddingRequest("a").most_tokens + 2 == EmbeddingRequest(["a", "é"]).most_tokens


def test_usage_adds_request_and_answer() -> None:
    """The total usage counts cached tokens once, because they are part of the input tokens."""
    assert 14 == TokenUsage(input=10, output=4, cached=9).total
