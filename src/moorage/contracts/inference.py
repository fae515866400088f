"""Language models: requests, results, and the operations of vendors that run models."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

from moorage.contracts.replays import replay_field
from moorage.contracts.validators import (
    are_all,
    as_tuple,
    check_kind,
    is_a,
    is_count,
    is_filled,
    is_maybe_count,
    is_maybe_filled,
)
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    import attrs

    from moorage.contracts.wire import MeteredResponse, Wire
    from moorage.domain.http.server_sent_events import (
        ServerSentEvent as ServerSentEvent,  # noqa: PLC0414 - vendors import the type from here
    )

_NO_TOKENS: Final = 0
_TOOL_NAME: Final = re.compile("[A-Za-z0-9_-]{1,64}")
_HIGHEST_TEMPERATURE: Final = 2
_IMAGE_TYPES: Final = frozenset({"image/gif", "image/jpeg", "image/png", "image/webp"})
_TOKENS_OF_IMAGE: Final = 5_000
"""An upper bound of the tokens of one image, by the documentation of the vendors."""
_TOKENS_OF_REQUEST: Final = 500
"""Tokens that a vendor may add to a request, such as its own text about tools."""
_TOKENS_OF_PART: Final = 20
"""Tokens that a vendor may add to a turn, a tool, a tool call or its result, such as its role."""


class InferenceCapability(StrEnum):
    """An optional feature of a vendor of language models."""

    TEMPERATURE = "temperature"
    IMAGES = "images"
    TOOLS = "tools"
    SCHEMA = "schema"
    EMBEDDINGS = "embeddings"
    STREAMS = "streams"


class Speaker(StrEnum):
    """The author of a turn of a conversation."""

    USER = "user"
    MODEL = "model"


class FinishReason(StrEnum):
    """The reason why a model stopped.

    `length` means that the text is cut off, because `max_tokens` or the model's own limit was
    reached. `tool_calls` means that the model waits for the results of its tool calls. `refused`
    means that the model or the vendor's filter refused to answer.
    """

    COMPLETE = "complete"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    REFUSED = "refused"
    UNKNOWN = "unknown"


def _is_image_type(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or value not in _IMAGE_TYPES:
        raise InvalidData(
            "Models do not read images of this media type.",
            field=attribute.name,
            remedy=f"Give one of {', '.join(sorted(_IMAGE_TYPES))}.",
        )


def _is_tool_name(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    check_kind(value, str, attribute.name)
    if _TOOL_NAME.fullmatch(str(value)) is None:
        raise InvalidData(
            "The name of a tool must have 1 to 64 letters, digits, hyphens or underscores.",
            field=attribute.name,
            remedy="Give a name such as 'find_order'.",
        )


def _is_json_object(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        return
    check_kind(value, Mapping, attribute.name)
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (RecursionError, TypeError, ValueError):
        raise InvalidData(
            f"The value of {attribute.name} cannot be written as JSON.",
            field=attribute.name,
            remedy="Give a dict of texts, numbers, lists and dicts, such as {'type': 'object'}.",
        ) from None


def _is_temperature(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is not None and not (is_number and 0 <= value <= _HIGHEST_TEMPERATURE):  # type: ignore[operator]  # a number
        raise InvalidData(
            f"The temperature must be a number from 0 to {_HIGHEST_TEMPERATURE}.",
            field=attribute.name,
            remedy="Give a number such as 0.2, or leave it out.",
        )


def _as_turns(value: Any) -> Any:
    """Return turns as a tuple; a string becomes one turn of the user."""
    return (Turn(value),) if isinstance(value, str) else as_tuple(value)


def _as_texts(value: Any) -> Any:
    """Return texts as a tuple; a string becomes a tuple of one text."""
    return (value,) if isinstance(value, str) else as_tuple(value)


@frozen(kw_only=True)
class ModelImage:
    """An image that a model looks at.

    Attributes:
        content: the bytes of the image.
        media_type: `image/png`, `image/jpeg`, `image/webp` or `image/gif`.
    """

    content: bytes = field(repr=False, validator=is_a(bytes))
    media_type: str = field(validator=_is_image_type)


@frozen
class ModelTool:
    """A function of your program that a model may ask to be called.

    Attributes:
        name: name of the tool, of letters, digits, hyphens and underscores.
        description: text that tells the model what the tool does and when to use it.
        parameters: JSON Schema of the arguments: an object with properties.
    """

    name: str = field(validator=_is_tool_name)
    description: str = field(repr=False, validator=is_filled)
    parameters: Mapping[str, Any] = field(repr=False, validator=[is_a(Mapping), _is_json_object])


@frozen
class ToolCall:
    """A call of a tool that a model asks for; your program decides whether to execute it.

    Attributes:
        id: the vendor's id of the call.
        name: name of the tool.
        arguments: arguments, which the model wrote: check them like any input from outside.
    """

    id: str = field(validator=is_filled)
    name: str = field(validator=is_filled)
    arguments: Mapping[str, Any] = field(repr=False, validator=[is_a(Mapping), _is_json_object])


@frozen
class ToolResult:
    """The result of a tool call, for the model.

    Attributes:
        call: id of the call.
        text: result of the call, or the reason why it failed.
        failed: True if the tool failed.
    """

    call: str = field(validator=is_filled)
    text: str = field(repr=False, validator=is_a(str))
    failed: bool = field(default=False, validator=is_a(bool))


@frozen
class Turn:
    """A turn of a conversation.

    Attributes:
        text: text of the turn.
        speaker: author of the turn; by default the user.
        images: images that the user shows.
        tool_calls: calls of tools that the model asked for.
        tool_results: results of the tool calls in the model's last turn.
    """

    text: str = field(default="", repr=False, validator=is_a(str))
    speaker: Speaker = field(default=Speaker.USER, kw_only=True, validator=is_a(Speaker))
    images: tuple[ModelImage, ...] = field(
        default=(), kw_only=True, converter=as_tuple, repr=False, validator=are_all(ModelImage)
    )
    tool_calls: tuple[ToolCall, ...] = field(
        default=(), kw_only=True, converter=as_tuple, validator=are_all(ToolCall)
    )
    tool_results: tuple[ToolResult, ...] = field(
        default=(), kw_only=True, converter=as_tuple, validator=are_all(ToolResult)
    )

    def __attrs_post_init__(self) -> None:
        names = ("images", "tool_results") if self.speaker is Speaker.MODEL else ("tool_calls",)
        for name in names:
            if getattr(self, name):
                raise InvalidData(
                    f"A turn of the {self.speaker} cannot have {name}.",
                    field=name,
                    remedy=f"Put the {name} into a turn of the other speaker.",
                )
        if not (self.text or self.images or self.tool_calls or self.tool_results):
            raise InvalidData(
                "A turn is empty.", field="text", remedy="Give the turn a text, or leave it out."
            )


@frozen
class GenerationRequest:
    """A request for the next turn of a model.

    Attributes:
        turns: the conversation, which begins and ends with a turn of the user; a string is a
            conversation of one turn.
        instructions: text that tells the model its task and how to answer.
        model: the vendor's name of the model; by default that of the account.
        max_tokens: the longest answer in tokens, including the model's reasoning.
        temperature: 0 for the most probable words, higher for more variety; by default the model's
            own.
        tools: functions of your program that the model may ask for.
        schema: JSON Schema of the answer; the text of the answer is then JSON, which
            `Generation.json()` reads.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    turns: tuple[Turn, ...] = field(converter=_as_turns, validator=are_all(Turn))
    instructions: str | None = field(
        default=None, kw_only=True, repr=False, validator=is_maybe_filled
    )
    model: str | None = field(default=None, kw_only=True, validator=is_maybe_filled)
    max_tokens: int = field(default=4_096, kw_only=True, validator=is_count)
    temperature: float | None = field(default=None, kw_only=True, validator=_is_temperature)
    tools: tuple[ModelTool, ...] = field(
        default=(), kw_only=True, converter=as_tuple, validator=are_all(ModelTool)
    )
    schema: Mapping[str, Any] | None = field(
        default=None, kw_only=True, repr=False, validator=_is_json_object
    )
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, kw_only=True, repr=False, validator=is_a(Mapping)
    )

    def __attrs_post_init__(self) -> None:
        speakers = [turn.speaker for turn in self.turns]
        if not speakers or {speakers[0], speakers[-1]} != {Speaker.USER}:
            raise InvalidData(
                "A conversation must begin and end with a turn of the user.",
                field="turns",
                remedy="Give the question as the last turn; use `instructions` to tell the model"
                " how to answer.",
            )
        names = [tool.name for tool in self.tools]
        if len(set(names)) < len(names):
            raise InvalidData(
                "Two tools have the same name.",
                field="tools",
                remedy="Give each tool another name.",
            )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs for this request."""
        has_tools = any(turn.tool_calls or turn.tool_results for turn in self.turns)
        needed = {
            InferenceCapability.TEMPERATURE: self.temperature is not None,
            InferenceCapability.IMAGES: any(turn.images for turn in self.turns),
            InferenceCapability.TOOLS: bool(self.tools) or has_tools,
            InferenceCapability.SCHEMA: self.schema is not None,
        }
        return frozenset(capability for capability, is_needed in needed.items() if is_needed)

    @property
    def most_tokens(self) -> int:
        """An upper bound of the tokens that the request uses, with the answer.

        A token is at least one byte of text. Each part of the conversation has a few more tokens.
        """
        texts = [self.instructions or "", json.dumps(self.schema or {})]
        texts += [
            f"{tool.name}{tool.description}{json.dumps(tool.parameters)}" for tool in self.tools
        ]
        for turn in self.turns:
            texts += [turn.text, *(f"{item.call}{item.text}" for item in turn.tool_results)]
            texts += [
                f"{call.id}{call.name}{json.dumps(call.arguments)}" for call in turn.tool_calls
            ]
        images = sum(len(turn.images) for turn in self.turns)
        return (
            _bytes_of(texts)
            + len(texts) * _TOKENS_OF_PART
            + images * _TOKENS_OF_IMAGE
            + _TOKENS_OF_REQUEST
            + self.max_tokens
        )


def _refuse_constant(name: str) -> Any:
    """Refuse NaN and Infinity, which are no values of JSON."""
    raise ValueError(name)


def _bytes_of(texts: list[str]) -> int:
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)


@frozen(kw_only=True)
class TokenUsage:
    """The tokens that a vendor counted and bills.

    Attributes:
        input: tokens of the request, including those that the vendor had cached.
        output: tokens of the answer, including the model's reasoning.
        cached: tokens of the request that the vendor had cached, and bills at a lower price.
    """

    input: int
    output: int = _NO_TOKENS
    cached: int = _NO_TOKENS

    @property
    def total(self) -> int:
        """The tokens of the request and the answer together."""
        return self.input + self.output


@frozen(kw_only=True)
class Generation:
    """The turn that a model wrote.

    Attributes:
        id: the vendor's id of the answer, for questions to the vendor.
        text: text of the answer; empty if the model only asks for tool calls.
        tool_calls: calls of tools that the model asks for.
        finish: reason why the model stopped.
        vendor_finish: the vendor's own word for the reason.
        usage: tokens that the vendor counted.
        model: the vendor's name of the model that answered.
        replayed: True if this is the stored answer of an earlier call with the same key.
        raw: the vendor's complete answer.
    """

    id: str | None
    text: str = field(repr=False)
    tool_calls: tuple[ToolCall, ...] = ()
    finish: FinishReason
    vendor_finish: str | None = None
    usage: TokenUsage
    model: str
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)

    @property
    def turn(self) -> Turn:
        """The answer as a turn, to continue the conversation."""
        return Turn(self.text, speaker=Speaker.MODEL, tool_calls=self.tool_calls)

    def json(self) -> Any:
        """Return the value of an answer that is JSON, as a `schema` demands.

        Raises:
            InvalidData: the answer is not complete JSON, such as an answer that was cut off.
        """
        try:
            return json.loads(self.text, parse_constant=_refuse_constant)
        except (RecursionError, ValueError):
            raise InvalidData(
                f"The model's answer is not complete JSON; it ended with {self.finish}.",
                field="text",
                remedy="If it ended with length, raise `max_tokens`; otherwise give a `schema`.",
            ) from None


class AnswerEvents(Protocol):
    """Reads the events of a streamed answer in a vendor's words, and collects the whole answer."""

    @property
    def generation(self) -> Generation | None:
        """The complete answer; None until its last event was read."""
        ...

    def read(self, event: ServerSentEvent, /) -> str:
        """Return the text that an event adds to the answer; "" if it adds none.

        Raises:
            VendorFailed: the event is an error, or cannot be read.
        """
        ...


@frozen(kw_only=True)
class OpenedGeneration:
    """An answer whose events are being received.

    Attributes:
        arriving: stream of the events.
        events: reads the events.
    """

    arriving: MeteredResponse
    events: AnswerEvents


@frozen
class EmbeddingRequest:
    """A request for the vectors of texts, by which texts of similar meaning are found.

    Attributes:
        texts: the texts; a string is a single text.
        model: the vendor's name of the model; by default the account's model for embeddings.
        dimensions: the length of the vectors; by default the model's own.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    texts: tuple[str, ...] = field(
        converter=_as_texts,
        repr=False,
        validator=are_all(str),
    )
    model: str | None = field(default=None, kw_only=True, validator=is_maybe_filled)
    dimensions: int | None = field(default=None, kw_only=True, validator=is_maybe_count)
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, kw_only=True, repr=False, validator=is_a(Mapping)
    )

    def __attrs_post_init__(self) -> None:
        if not self.texts or not all(self.texts):
            raise InvalidData(
                "The texts to embed are missing, or one of them is empty.",
                field="texts",
                remedy="Give at least one text, and leave out empty ones.",
            )

    @property
    def most_tokens(self) -> int:
        """An upper bound of the tokens that the request uses."""
        return _bytes_of([*self.texts]) + _TOKENS_OF_REQUEST


def check_batch(request: EmbeddingRequest, limits: Mapping[str, int]) -> None:
    """Refuse more texts than the vendor takes in one request.

    Args:
        request: texts to embed.
        limits: limits of the vendor; only "texts" is read.
    """
    most_texts = limits.get("texts", len(request.texts))
    if len(request.texts) > most_texts:
        raise InvalidData(
            f"The request has {len(request.texts)} texts, but the vendor accepts at most"
            f" {most_texts}.",
            field="texts",
            remedy="Send the texts in several requests.",
        )


@frozen(kw_only=True)
class Embeddings:
    """The vectors of texts.

    Attributes:
        vectors: a vector for each text, in the order of the texts.
        usage: tokens that the vendor counted.
        model: the vendor's name of the model.
        raw: the vendor's complete answer.
    """

    vectors: tuple[tuple[float, ...], ...] = field(repr=False)
    usage: TokenUsage
    model: str
    raw: Any = field(default=None, repr=False, eq=False)


class InferenceVendor(Protocol):
    """The operations of a vendor of language models; its `capabilities` list the optional ones."""

    async def generate(
        self, wire: Wire, request: GenerationRequest, /, *, key: str | None
    ) -> Generation: ...

    async def embed(self, wire: Wire, request: EmbeddingRequest, /) -> Embeddings: ...

    async def stream(self, wire: Wire, request: GenerationRequest, /) -> OpenedGeneration: ...
