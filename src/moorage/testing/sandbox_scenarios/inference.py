"""Example calls to vendors of language models."""

from __future__ import annotations

from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.inference import (
    EmbeddingRequest,
    GenerationRequest,
    InferenceCapability,
    ModelImage,
    ModelTool,
    ToolResult,
    Turn,
)

if TYPE_CHECKING:
    from moorage.testing.sandbox_scenarios.runner import Scenario, ScenarioVendor

QUESTION: Final = "Is this text an invoice or a reminder?"
TOOL: Final = ModelTool(
    "find_order",
    "Find an order by its number.",
    {
        "type": "object",
        "properties": {"number": {"type": "string"}},
        "required": ["number"],
        "additionalProperties": False,
    },
)
SCHEMA: Final = {
    "type": "object",
    "properties": {"kind": {"type": "string", "enum": ["invoice", "reminder"]}},
    "required": ["kind"],
    "additionalProperties": False,
}
IMAGE: Final = ModelImage(content=b"\x89PNG\r\n\x1a\n", media_type="image/png")


async def generate(vendor: ScenarioVendor, turn: str | Turn = QUESTION, **fields: Any) -> Any:
    """Ask for the next turn of a conversation."""
    turns = turn if isinstance(turn, str) else [turn]
    request = GenerationRequest(turns, instructions="Answer in one word.", **fields)
    return (await vendor("generate", request)).finish


async def call_tool(vendor: ScenarioVendor) -> Any:
    """Offer the model a tool, and give it the result of its call."""
    question = Turn("Use find_order to find order 1042.")
    generation = await vendor("generate", GenerationRequest([question], tools=[TOOL]))
    results = [ToolResult(call.id, "It is paid.") for call in generation.tool_calls]
    turns = [question, generation.turn, Turn(tool_results=results)]
    return (await vendor("generate", GenerationRequest(turns, tools=[TOOL]))).finish


async def embed(vendor: ScenarioVendor) -> Any:
    """Get the vectors of two texts."""
    return len((await vendor("embed", EmbeddingRequest(["an invoice", "a reminder"]))).vectors)


async def stream(vendor: ScenarioVendor) -> Any:
    """Ask for an answer, and receive it in pieces."""
    question = Turn("Use find_order to find order 1042.")
    arriving = await vendor("stream", GenerationRequest([question], tools=[TOOL]))
    generation = arriving.finish()
    return (await generation if isawaitable(generation) else generation).finish


BASIC: Final[dict[str, Scenario]] = {"generate": generate}

BY_CAPABILITY: Final[dict[str, Scenario]] = {
    InferenceCapability.TEMPERATURE: partial(generate, temperature=0.5),
    InferenceCapability.IMAGES: partial(generate, turn=Turn(QUESTION, images=[IMAGE])),
    InferenceCapability.TOOLS: call_tool,
    InferenceCapability.SCHEMA: partial(generate, schema=SCHEMA),
    InferenceCapability.EMBEDDINGS: embed,
    InferenceCapability.STREAMS: stream,
}
