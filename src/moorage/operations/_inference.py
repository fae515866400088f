"""The handwritten methods of language models: answers that arrive in pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from moorage.domain.values.uncopyable import Uncopyable
from moorage.errors import InvalidData
from moorage.runtime.flows import documented_by, run_now
from moorage.services.contracts.inference import InferenceFlows

if TYPE_CHECKING:
    from types import TracebackType

    from moorage.contracts.inference import Generation, GenerationRequest
    from moorage.services.contracts.inference import GenerationSession
    from moorage.services.contracts.live_configuration import CurrentOperations


class _ArrivingGeneration:
    """The code that synchronous and asynchronous answers in pieces share."""

    def __init__(self, flow: GenerationSession) -> None:
        self._flow = flow

    @property
    def text(self) -> str:
        """The text that has been read so far, also after the stream broke."""
        return self._flow.text

    @property
    def generation(self) -> Generation | None:
        """The complete answer with its tool calls and its usage; None until the end was read."""
        return self._flow.generation

    def settle(self) -> None:
        """End the answer early, and drop the rest of it."""
        self._flow.settle()

    def __del__(self) -> None:
        self._flow.settle()

    def _complete(self) -> Generation:
        generation = self._flow.generation
        if generation is None:
            raise InvalidData(
                "The answer was ended before it was complete.",
                field="generation",
                remedy="Read the answer to its end, or use the `text` that was read.",
            )
        return generation


class GenerationStream(_ArrivingGeneration):
    """An answer that a model is writing; iterate over it to get its text in pieces."""

    def read(self) -> str:
        """Read the next piece of the text; "" at the end."""
        return run_now(self._flow.read())

    def finish(self) -> Generation:
        """Read the rest of the answer, and return the complete answer."""
        while self.read():
            pass
        return self._complete()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        piece = self.read()
        if not piece:
            raise StopIteration
        return piece

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.settle()


class AsyncGenerationStream(_ArrivingGeneration):
    """An answer that a model is writing; iterate asynchronously to get its text in pieces."""

    async def read(self) -> str:
        """Read the next piece of the text; "" at the end."""
        return await self._flow.read()

    async def finish(self) -> Generation:
        """Read the rest of the answer, and return the complete answer."""
        while await self.read():
            pass
        return self._complete()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        piece = await self.read()
        if not piece:
            raise StopAsyncIteration
        return piece

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.settle()


class InferenceMethods(Uncopyable):
    """The handwritten methods of `Inference`."""

    _flows: CurrentOperations[InferenceFlows]

    @documented_by(InferenceFlows.stream)
    def stream(
        self, request: GenerationRequest, *, timeout: float | None = None
    ) -> GenerationStream:
        return GenerationStream(
            run_now(self._flows.run(InferenceFlows.stream, request, timeout=timeout))
        )


class AsyncInferenceMethods(Uncopyable):
    """The handwritten methods of `AsyncInference`."""

    _flows: CurrentOperations[InferenceFlows]

    @documented_by(InferenceFlows.stream)
    async def stream(
        self, request: GenerationRequest, *, timeout: float | None = None
    ) -> AsyncGenerationStream:
        return AsyncGenerationStream(
            await self._flows.run(InferenceFlows.stream, request, timeout=timeout)
        )
