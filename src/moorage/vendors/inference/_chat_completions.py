"""Requests and responses of Chat Completions, an API that several vendors share."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.inference import (
    Embeddings,
    FinishReason,
    Generation,
    InferenceCapability,
    Speaker,
    TokenUsage,
    ToolCall,
)
from moorage.vendors.inference._accounts import (
    ModelAccount,
    base64_text,
    open_answer,
    read_arguments,
    read_event,
    read_tool_call,
    total_tokens,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.contracts.inference import (
        EmbeddingRequest,
        GenerationRequest,
        ModelTool,
        OpenedGeneration,
        ServerSentEvent,
        Turn,
    )
    from moorage.vendor_sdk import Response, Wire

_SCHEMA_NAME: Final = "answer"
_END_OF_STREAM: Final = "[DONE]"


@attrs.frozen(kw_only=True)
class CompletionsAccount(ModelAccount):
    """An account at a vendor with Chat Completions.

    Attributes:
        completions_path, embeddings_path: paths of the two operations.
        instructions_role: role of the message with the instructions.
        tokens_field: name of the field with the longest answer in tokens.
        dimensions_field: name of the field with the length of vectors.
        cached_field: path of the number of cached tokens in the usage.
        finish_reasons: meanings of the vendor's words for the reason why a model stopped.
        stream_options: fields of a request whose answer arrives in pieces.
        embedding_model: name of the model for embeddings.
    """

    capabilities = frozenset(InferenceCapability)

    completions_path: ClassVar[str]
    embeddings_path: ClassVar[str]
    instructions_role: ClassVar[str]
    tokens_field: ClassVar[str]
    dimensions_field: ClassVar[str]
    cached_field: ClassVar[str]
    finish_reasons: ClassVar[Mapping[str, FinishReason]]
    stream_options: ClassVar[Mapping[str, Any]] = {"stream": True}

    embedding_model: str

    async def generate(
        self, wire: Wire, request: GenerationRequest, /, *, key: str | None
    ) -> Generation:
        """Create a completion of a conversation."""
        sent_request = sdk.Request.post(self.completions_path, json=self._body(request))
        return await wire.send_within_budget(
            sent_request.evolve(idempotent=True),
            key=key,
            parse=self._read,
            most=request.most_tokens,
            used=total_tokens,
        )

    async def stream(self, wire: Wire, request: GenerationRequest, /) -> OpenedGeneration:
        """Create a completion of a conversation, which arrives in pieces."""
        body = {**self._body(request), **self.stream_options}
        sent_request = sdk.Request.post(self.completions_path, json=body)
        events = CompletionEvents(self.name, self._read)
        return await open_answer(wire, sent_request, request, events)

    async def embed(self, wire: Wire, request: EmbeddingRequest, /) -> Embeddings:
        """Create the vectors of texts."""
        body: dict[str, Any] = {
            "model": request.model or self.embedding_model,
            "input": [*request.texts],
            "encoding_format": "float",
        }
        if request.dimensions is not None:
            body[self.dimensions_field] = request.dimensions
        body = sdk.merged(body, sdk.extra_for(self.name, request.extra))
        return await wire.send_within_budget(
            sdk.Request.post(self.embeddings_path, json=body).evolve(idempotent=True),
            parse=partial(read_embeddings, count=len(request.texts)),
            most=request.most_tokens,
            used=total_tokens,
            reads=True,
        )

    def _read(self, response: Response) -> Generation:
        return read_completion(
            response, reasons=self.finish_reasons, cached_field=self.cached_field
        )

    def _body(self, request: GenerationRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": request.model or self.model,
            "messages": _messages(request, self.instructions_role),
            self.tokens_field: request.max_tokens,
        }
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.tools:
            body["tools"] = [_tool_definition(tool) for tool in request.tools]
        if request.schema is not None:
            body["response_format"] = _response_format(request.schema)
        return sdk.merged(body, sdk.extra_for(self.name, request.extra))


class CompletionEvents:
    """Collects the chunks of a streamed completion.

    Args:
        vendor: name of the vendor, for errors.
        read_answer: reads the complete answer.
    """

    def __init__(self, vendor: str, read_answer: Callable[[Response], Generation]) -> None:
        self._vendor = vendor
        self._read_answer = read_answer
        self._fields: dict[str, Any] = {}
        self._texts: dict[str, list[str]] = {"content": [], "refusal": []}
        self._calls: dict[int, _ArrivingCall] = {}
        self._reason: str | None = None
        self.generation: Generation | None = None

    def read(self, event: ServerSentEvent, /) -> str:
        """Return the text of a chunk; the last event ends the answer."""
        if event.data == _END_OF_STREAM:
            self.generation = self._read_answer(self._response())
            return ""
        _, chunk = read_event(event, self._vendor)
        for name in ("id", "model", "usage"):
            if chunk.value(name) is not None:
                self._fields[name] = chunk.value(name)
        choice = next(iter(chunk.objects("choices")), None)
        if choice is None:
            return ""
        self._reason = choice.text("finish_reason") or self._reason
        delta = choice.object("delta")
        for number, item in enumerate(delta.objects("tool_calls")):
            index = item.integer("index")
            self._calls.setdefault(number if index is None else index, _ArrivingCall()).add(item)
        text, refusal = _text_of(delta), delta.text("refusal") or ""
        self._texts["content"].append(text)
        self._texts["refusal"].append(refusal)
        return text or refusal

    def _response(self) -> Response:
        """The answer as if it had not been streamed."""
        texts = {name: "".join(parts) or None for name, parts in self._texts.items()}
        calls = [self._calls[index].body for index in sorted(self._calls)]
        choice = {"finish_reason": self._reason, "message": {**texts, "tool_calls": calls}}
        return sdk.Response(200, body=json.dumps({**self._fields, "choices": [choice]}).encode())


class _ArrivingCall:
    """A tool call whose parts arrive in several chunks."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._name: str | None = None
        self._arguments: list[str] = []

    def add(self, item: sdk.Answer) -> None:
        """Add the part of the call that a chunk has; some vendors send an object as arguments."""
        self._id = item.text("id") or self._id
        self._name = item.text("function.name") or self._name
        arguments = item.value("function.arguments")
        if arguments is not None:
            self._arguments.append(
                arguments if isinstance(arguments, str) else json.dumps(arguments)
            )

    @property
    def body(self) -> dict[str, Any]:
        """The call as in an answer that is not streamed."""
        function = {"name": self._name, "arguments": "".join(self._arguments)}
        return {"id": self._id, "function": function}


def _messages(request: GenerationRequest, instructions_role: str) -> list[dict[str, Any]]:
    """The messages of a conversation; the instructions are the first."""
    instruction_messages = (
        []
        if request.instructions is None
        else [{"role": instructions_role, "content": request.instructions}]
    )
    return instruction_messages + [
        message for turn in request.turns for message in _turn_messages(turn)
    ]


def _turn_messages(turn: Turn) -> list[dict[str, Any]]:
    """The messages of a turn: each result of a tool has a message of its own."""
    turn_messages: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": result.call, "content": result.text}
        for result in turn.tool_results
    ]
    if turn.speaker is Speaker.MODEL:
        message: dict[str, Any] = {"role": "assistant", "content": turn.text}
        if turn.tool_calls:
            message["tool_calls"] = [_tool_call_body(call) for call in turn.tool_calls]
        return [message]
    if turn.images:
        parts: list[dict[str, Any]] = [
            {
                "type": "image_url",
                "image_url": {"url": f"data:{image.media_type};base64,{base64_text(image)}"},
            }
            for image in turn.images
        ]
        if turn.text:
            parts.append({"type": "text", "text": turn.text})
        turn_messages.append({"role": "user", "content": parts})
    elif turn.text:
        turn_messages.append({"role": "user", "content": turn.text})
    return turn_messages


def _tool_call_body(call: ToolCall) -> dict[str, Any]:
    arguments = json.dumps(dict(call.arguments), ensure_ascii=False)
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def _tool_definition(tool: ModelTool) -> dict[str, Any]:
    """A tool in the form of Chat Completions."""
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": dict(tool.parameters),
        },
    }


def _response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The option by which the text of the answer is JSON of this schema."""
    json_schema = {"name": _SCHEMA_NAME, "schema": dict(schema), "strict": True}
    return {"type": "json_schema", "json_schema": json_schema}


def read_completion(
    response: Response, *, reasons: Mapping[str, FinishReason], cached_field: str
) -> Generation:
    """The turn of a model, from a response of Chat Completions.

    Args:
        response: the vendor's response.
        reasons: meanings of the vendor's words for the reason why the model stopped.
        cached_field: path of the number of cached tokens in the usage.
    """
    answer = sdk.read_answer(response)
    choices = sdk.required_objects(answer, "choices", response)
    choice = sdk.required(choices[0] if choices else None, response, "choices")
    if not sdk.is_object(choice.value("message")):
        raise sdk.malformed(response, "choices.message")
    message = choice.object("message")
    refusal = message.text("refusal")
    reason = choice.text("finish_reason")
    finish = reasons.get(reason or "", FinishReason.UNKNOWN)
    tool_calls = _read_calls(response, message, finish)
    if refusal is not None:
        finish = FinishReason.REFUSED
    elif tool_calls and finish is FinishReason.COMPLETE:
        finish = FinishReason.TOOL_CALLS
    return Generation(
        id=answer.text("id"),
        text=_text_of(message) or refusal or "",
        tool_calls=tuple(tool_calls),
        finish=finish,
        vendor_finish=reason,
        usage=_usage(response, answer, cached_field),
        model=sdk.required(answer.text("model"), response, "model"),
        raw=answer.raw,
    )


def _text_of(message: sdk.Answer) -> str:
    """The text of a message, whose content is a text or a list of parts."""
    parts = [part for part in message.objects("content") if part.text("type") == "text"]
    return "".join(part.text("text") or "" for part in parts) or message.text("content") or ""


def _read_calls(response: Response, message: sdk.Answer, finish: FinishReason) -> list[ToolCall]:
    """The tool calls of a message, without the last one of an answer that was cut off.

    Their arguments are JSON text, or an object at some vendors.
    """
    items = list(message.objects("tool_calls"))
    complete_items = items[:-1] if finish is FinishReason.LENGTH else items
    return [
        read_tool_call(
            response,
            item.text("id"),
            item.text("function.name"),
            read_arguments(item.value("function.arguments")),
        )
        for item in complete_items
    ]


def _usage(response: Response, answer: sdk.Answer, cached_field: str = "") -> TokenUsage:
    usage = answer.object("usage")
    return TokenUsage(
        input=sdk.required(usage.integer("prompt_tokens"), response, "usage.prompt_tokens"),
        output=usage.integer("completion_tokens") or 0,
        cached=usage.integer(cached_field) or 0,
    )


def read_embeddings(response: Response, count: int) -> Embeddings:
    """The vectors of `count` texts, in the order of the texts.

    Raises:
        VendorFailed: a vector is missing or is not a list of numbers.
    """
    answer = sdk.read_answer(response)
    items = sdk.required_objects(answer, "data", response)
    vectors = {item.integer("index"): _vector(response, item) for item in items}
    if len(items) != count or set(vectors) != set(range(count)):
        raise sdk.malformed(response, "vector for each text")
    if len(set(map(len, vectors.values()))) != 1:
        raise sdk.malformed(response, "vectors of one length")
    return Embeddings(
        vectors=tuple(vectors[number] for number in range(count)),
        usage=_usage(response, answer),
        model=sdk.required(answer.text("model"), response, "model"),
        raw=answer.raw,
    )


def _vector(response: Response, item: sdk.Answer) -> tuple[float, ...]:
    numbers = item.value("embedding")
    if not sdk.is_list(numbers) or not numbers:
        raise sdk.malformed(response, "data.embedding")
    try:
        vector = tuple(map(float, numbers))
    except (OverflowError, TypeError, ValueError):
        raise sdk.malformed(response, "data.embedding") from None
    if any(isinstance(number, (bool, str)) for number in numbers) or not all(
        map(math.isfinite, vector)
    ):
        raise sdk.malformed(response, "data.embedding")
    return vector
