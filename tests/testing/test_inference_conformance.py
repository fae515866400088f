"""The conformance kit of vendors of language models finds faulty vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.inference import (
    EmbeddingRequest,
    Embeddings,
    FinishReason,
    Generation,
    GenerationRequest,
    OpenedGeneration,
    TokenUsage,
    Turn,
)
from moorage.errors import ConnectorError
from moorage.testing import inference_conformance as kit
from moorage.vendors.inference.openai import OpenAI
from tests.vendors.inference_subjects import openai

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.wire import Wire
    from moorage.domain.http.server_sent_events import ServerSentEvent
    from moorage.domain.service.settings import Service


class _ChangesRequestVendor(OpenAI):
    """A faulty vendor whose requests differ from those of the caller."""

    def change(self, request: GenerationRequest) -> GenerationRequest:
        """Return the changed request."""
        return request

    async def generate(
        self, wire: Wire, request: GenerationRequest, /, *, key: str | None
    ) -> Generation:
        return await super().generate(wire, self.change(request), key=key)


class _DropsImagesVendor(_ChangesRequestVendor):
    """A faulty vendor that sends only the texts of a conversation, without its images."""

    def change(self, request: GenerationRequest) -> GenerationRequest:
        turns = [
            turn if turn.tool_results else attrs.evolve(turn, images=()) for turn in request.turns
        ]
        return attrs.evolve(request, turns=turns)


class _DropsInstructionsVendor(_ChangesRequestVendor):
    """A faulty vendor that does not send the instructions."""

    def change(self, request: GenerationRequest) -> GenerationRequest:
        return attrs.evolve(request, instructions=None)


class _DropsSchemaVendor(_ChangesRequestVendor):
    """A faulty vendor that does not send the schema."""

    def change(self, request: GenerationRequest) -> GenerationRequest:
        return attrs.evolve(request, schema=None)


class _DropsToolsVendor(_ChangesRequestVendor):
    """A faulty vendor that does not send the tools."""

    def change(self, request: GenerationRequest) -> GenerationRequest:
        return attrs.evolve(request, tools=())


class _FixedLengthVendor(_ChangesRequestVendor):
    """A faulty vendor that ignores the caller's limit on the length of the answer."""

    def change(self, request: GenerationRequest) -> GenerationRequest:
        return attrs.evolve(request, max_tokens=1_000)


class _FixedModelVendor(_ChangesRequestVendor):
    """A faulty vendor that ignores the model of a request."""

    def change(self, request: GenerationRequest) -> GenerationRequest:
        return attrs.evolve(request, model=None)


class _ReplacesFirstTurnVendor(_ChangesRequestVendor):
    """A faulty vendor that sends another text as the first turn of a conversation."""

    def change(self, request: GenerationRequest) -> GenerationRequest:
        return attrs.evolve(request, turns=[Turn("Hello"), *request.turns[1:]])


class _ChangesResultVendor(OpenAI):
    """A faulty vendor whose results differ from the vendor's response."""

    def change(self, generation: Generation) -> Generation:
        """Return the changed result."""
        return generation

    async def generate(
        self, wire: Wire, request: GenerationRequest, /, *, key: str | None
    ) -> Generation:
        return self.change(await super().generate(wire, request, key=key))


class _AlwaysCompleteVendor(_ChangesResultVendor):
    """A faulty vendor that reports each answer as complete."""

    def change(self, generation: Generation) -> Generation:
        return attrs.evolve(generation, finish=FinishReason.COMPLETE)


class _UnknownIsCompleteVendor(_ChangesResultVendor):
    """A faulty vendor that reports an unknown reason as a complete answer."""

    def change(self, generation: Generation) -> Generation:
        is_unknown = generation.finish is FinishReason.UNKNOWN
        return attrs.evolve(generation, finish=FinishReason.COMPLETE) if is_unknown else generation


class _LosesToolCallsVendor(_ChangesResultVendor):
    """A faulty vendor that loses the calls of tools."""

    def change(self, generation: Generation) -> Generation:
        return attrs.evolve(generation, tool_calls=())


class _SwapsTokensVendor(_ChangesResultVendor):
    """A faulty vendor that confuses the tokens of the request with those of the answer."""

    def change(self, generation: Generation) -> Generation:
        usage = generation.usage
        swapped_usage = TokenUsage(input=usage.output, output=usage.input, cached=usage.cached)
        return attrs.evolve(generation, usage=swapped_usage)


class _LosesCachedTokensVendor(_ChangesResultVendor):
    """A faulty vendor that does not count cached tokens."""

    def change(self, generation: Generation) -> Generation:
        return attrs.evolve(generation, usage=attrs.evolve(generation.usage, cached=0))


class _LosesWordVendor(_ChangesResultVendor):
    """A faulty vendor that loses the vendor's own word for the reason."""

    def change(self, generation: Generation) -> Generation:
        return attrs.evolve(generation, vendor_finish=None)


class _FailureIsAnswerVendor(OpenAI):
    """A faulty vendor that reports each failure as an empty answer."""

    async def generate(
        self, wire: Wire, request: GenerationRequest, /, *, key: str | None
    ) -> Generation:
        try:
            return await super().generate(wire, request, key=key)
        except ConnectorError:
            usage = TokenUsage(input=0)
            return Generation(
                id=None, text="", finish=FinishReason.UNKNOWN, usage=usage, model="m", raw={"a": 1}
            )


class _KeylessVendor(OpenAI):
    """A faulty vendor that loses the idempotency key."""

    async def generate(
        self, wire: Wire, request: GenerationRequest, /, *, key: str | None
    ) -> Generation:
        answer = await super().generate(wire, request, key=None)
        return attrs.evolve(answer, id=wire.new_id())


class _OneErrorClassVendor(OpenAI):
    """A faulty vendor that raises the same error for all refusals."""

    def services(self) -> Mapping[str, Service]:
        services = super().services()
        return {name: attrs.evolve(service, classify=None) for name, service in services.items()}


class _UnsortedVectorsVendor(OpenAI):
    """A faulty vendor that returns vectors in the order of the response."""

    async def embed(self, wire: Wire, request: EmbeddingRequest, /) -> Embeddings:
        embeddings = await super().embed(wire, request)
        vectors = [item["embedding"] for item in embeddings.raw["data"]]
        return attrs.evolve(embeddings, vectors=tuple(map(tuple, vectors)))


class _MissingVectorVendor(OpenAI):
    """A faulty vendor that fills in a missing vector."""

    async def embed(self, wire: Wire, request: EmbeddingRequest, /) -> Embeddings:
        try:
            return await super().embed(wire, request)
        except ConnectorError:
            vectors = ((0.0,),) * len(request.texts)
            return Embeddings(vectors=vectors, usage=TokenUsage(input=1), model="m")


class _ChangesStreamVendor(OpenAI):
    """A faulty vendor that reads streamed answers wrongly."""

    async def stream(self, wire: Wire, request: GenerationRequest, /) -> OpenedGeneration:
        opened = await super().stream(wire, request)
        return attrs.evolve(opened, events=self.change(opened.events))

    def change(self, events: Any) -> Any:
        """Return the changed reader of events."""
        return events


class _WrappedEvents:
    """Reads events with another reader."""

    def __init__(self, events: Any) -> None:
        self.events = events

    @property
    def generation(self) -> Generation | None:
        """The complete answer of the other reader."""
        answer: Generation | None = self.events.generation
        return answer

    def read(self, event: ServerSentEvent, /) -> str:
        """Return the text of the other reader."""
        text: str = self.events.read(event)
        return text


class _LosesLastPieceVendor(_ChangesStreamVendor):
    """A faulty vendor that loses pieces that end a sentence or have no space."""

    def change(self, events: Any) -> Any:
        class Events(_WrappedEvents):
            def read(self, event: ServerSentEvent, /) -> str:
                text = super().read(event)
                return text if text.endswith(" ") else ""

        return Events(events)


class _EndsBrokenStreamVendor(_ChangesStreamVendor):
    """A faulty vendor that reports an answer as complete at its first word."""

    def change(self, events: Any) -> Any:
        class Events(_WrappedEvents):
            @property
            def generation(self) -> Generation | None:
                usage = TokenUsage(input=1)
                complete = FinishReason.COMPLETE
                answer = Generation(id=None, text="", finish=complete, usage=usage, model="m")
                return self.events.generation or answer

        return Events(events)


class _IgnoresErrorEventVendor(_ChangesStreamVendor):
    """A faulty vendor that ignores an error in a stream."""

    def change(self, events: Any) -> Any:
        class Events(_WrappedEvents):
            def read(self, event: ServerSentEvent, /) -> str:
                return "" if "error" in event.data else super().read(event)

        return Events(events)


class _LosesStreamedUsageVendor(_ChangesStreamVendor):
    """A faulty vendor that does not count the tokens of a streamed answer."""

    def change(self, events: Any) -> Any:
        class Events(_WrappedEvents):
            @property
            def generation(self) -> Generation | None:
                answer = super().generation
                return answer and attrs.evolve(answer, usage=TokenUsage(input=1))

        return Events(events)


class _LosesStreamedCallsVendor(_ChangesStreamVendor):
    """A faulty vendor that loses the tool calls of a streamed answer."""

    def change(self, events: Any) -> Any:
        class Events(_WrappedEvents):
            @property
            def generation(self) -> Generation | None:
                answer = super().generation
                return answer and attrs.evolve(answer, tool_calls=())

        return Events(events)


class _StreamsOtherRequestVendor(OpenAI):
    """A faulty vendor that drops the instructions of a streamed request."""

    async def stream(self, wire: Wire, request: GenerationRequest, /) -> OpenedGeneration:
        return await super().stream(wire, attrs.evolve(request, instructions=None))


class _DeliversAtOnceVendor(OpenAI):
    """A faulty vendor that asks for a whole answer in place of a stream."""

    async def stream(self, wire: Wire, request: GenerationRequest, /) -> OpenedGeneration:
        await self.generate(wire, request, key=None)
        return await super().stream(wire, request)


FAULTY_VENDORS: tuple[type[OpenAI], ...] = (
    _DropsImagesVendor,
    _DropsInstructionsVendor,
    _DropsSchemaVendor,
    _DropsToolsVendor,
    _FixedLengthVendor,
    _FixedModelVendor,
    _ReplacesFirstTurnVendor,
    _AlwaysCompleteVendor,
    _UnknownIsCompleteVendor,
    _LosesToolCallsVendor,
    _SwapsTokensVendor,
    _LosesCachedTokensVendor,
    _LosesWordVendor,
    _FailureIsAnswerVendor,
    _KeylessVendor,
    _OneErrorClassVendor,
    _UnsortedVectorsVendor,
    _MissingVectorVendor,
    _LosesLastPieceVendor,
    _EndsBrokenStreamVendor,
    _IgnoresErrorEventVendor,
    _LosesStreamedUsageVendor,
    _LosesStreamedCallsVendor,
    _StreamsOtherRequestVendor,
    _DeliversAtOnceVendor,
)


@pytest.mark.parametrize("kind", FAULTY_VENDORS, ids=lambda kind: kind.__name__)
def test_kit_finds_a_faulty_vendor(kind: Any) -> None:
    """At least one check of the kit fails for each faulty vendor."""

    def subject() -> kit.InferenceSubject:
        return attrs.evolve(openai(), kind=kind)

    failed_checks: list[str] = []
    for check in kit.CHECKS:
        try:
            check(subject)
        except (AssertionError, ConnectorError):
            failed_checks.append(check.__name__)

    assert failed_checks
