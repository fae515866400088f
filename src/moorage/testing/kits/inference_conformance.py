"""Checks that every vendor of language models must pass.

Each check takes a function that makes a new `InferenceSubject`: the vendor, its sandbox, and facts
that the kit cannot know. `CHECKS` go through `Hub`, and `ASYNC_CHECKS` through `AsyncHub`. They
contain the checks of every contract.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.contracts.inference import (
    EmbeddingRequest,
    FinishReason,
    GenerationRequest,
    InferenceCapability,
    ModelTool,
)
from moorage.contracts.value_codec import pack, unpack
from moorage.errors import ConnectionFailed, VendorFailed
from moorage.testing.kits import contract_conformance
from moorage.testing.kits._contract_harness import through_async_hub, through_hub
from moorage.testing.kits.checks import require
from moorage.testing.kits.contract_conformance import ContractSubject, DeclaredHarness
from moorage.testing.sandboxes.base import AlteredAnswer, Lost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.http.requests import Response

__all__ = ["ASYNC_CHECKS", "CHECKS", "AsyncCheck", "Check", "Factory", "InferenceSubject"]

_KEY: Final = "letter-17/kind"
_QUESTION: Final = "Is this an invoice or a reminder?"
_LAST_WORD: Final = "reminder"
_WORDS: Final = f"an invoice or a {_LAST_WORD}"
_CALLING: Final = GenerationRequest(
    "Use find_order.",
    tools=[
        ModelTool(
            "find_order",
            "Find an order.",
            {
                "type": "object",
                "properties": {"number": {"type": "string"}, "year": {"type": "integer"}},
                "required": ["number", "year"],
            },
        )
    ],
)


@attrs.frozen(kw_only=True)
class InferenceSubject(ContractSubject):
    """A vendor of language models to check, with its sandbox.

    Attributes:
        contract: the name of the contract.
        requests: requests, each with fields of the body that must be sent.
        answers: successful responses, each with fields of `Generation` that must be read from it.
        unreadable: responses that must raise `VendorFailed`, such as one without a usage, or with
            arguments of a tool call that are not JSON.
        words: the vendor's words for the reason why a model stopped, with their meanings.
        finished: makes a successful response with one of these words.
        error_event: an event by which the vendor ends a streamed answer with an error, as sent;
            empty if the vendor has no streams.
        vectors: makes a successful response with these vectors, in this order of the texts'
            numbers; None if the vendor has no embeddings.
    """

    contract: str = "inference"
    requests: tuple[tuple[GenerationRequest, Mapping[str, Any]], ...]
    answers: tuple[tuple[Response, Mapping[str, Any]], ...]
    unreadable: tuple[Response, ...]
    words: Mapping[str, FinishReason]
    finished: Callable[[str], Response]
    error_event: bytes = b""
    vectors: Callable[[Mapping[int, list[float]]], Response] | None = None


class Harness(DeclaredHarness):
    """A vendor of language models under test, with its hub and sandbox."""

    subject: InferenceSubject

    async def generate(
        self, request: GenerationRequest | None = None, *, key: str | None = None
    ) -> Any:
        """Ask for the next turn of a conversation; by default of one question."""
        return await self("generate", request or GenerationRequest(_QUESTION), idempotency_key=key)

    async def read(self, arriving: Any, *, pieces: list[str]) -> Any:
        """Read a streamed answer to its end, collect its pieces, and return the complete answer."""
        while True:
            piece = arriving.read()
            piece = await piece if isawaitable(piece) else piece
            if not piece:
                return arriving.generation
            pieces.append(piece)


Factory: TypeAlias = Callable[[], InferenceSubject]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[Factory], Coroutine[Any, Any, None]]
Open: TypeAlias = Callable[[], Harness]


async def a_request_is_in_the_vendors_words(make: Open) -> None:
    """Each field of a request is sent under the vendor's name for it."""
    async with make() as harness:
        for request, expected in harness.subject.requests:
            await harness.generate(request)
            body = harness.sandbox.requests[-1].json()
            for name, value in expected.items():
                require(
                    body.get(name) == value,
                    f"A request has {body.get(name)!r} as {name}, not {value!r}.",
                )


async def an_answer_is_read_in_full(make: Open) -> None:
    """Each field of a response is read, and the result can be stored."""
    async with make() as harness:
        for answer, expected in harness.subject.answers:
            harness.sandbox.fail(answer)
            generation = await harness.generate()
            for name, value in expected.items():
                read_value = getattr(generation, name)
                require(read_value == value, f"The answer was read with {read_value!r} as {name}.")
            require(generation.raw, "The result lacks the vendor's response.")
            require(unpack(pack(generation)) == generation, "The result cannot be stored.")


async def finish_words_have_their_meanings(make: Open) -> None:
    """Each of the vendor's words for a finish reason has its meaning; another word is unknown."""
    async with make() as harness:
        for word, meaning in {
            **harness.subject.words,
            "another_word": FinishReason.UNKNOWN,
        }.items():
            harness.sandbox.fail(harness.subject.finished(word))
            generation = await harness.generate()
            require(
                generation.finish is meaning, f"The word {word} was read as {generation.finish}."
            )
            require(generation.vendor_finish == word, f"The result lacks the vendor's word {word}.")


async def an_incomplete_answer_is_a_failure(make: Open) -> None:
    """A response without a usage, or with unreadable arguments of a tool call, is a failure."""
    async with make() as harness:
        for number, answer in enumerate(harness.subject.unreadable):
            harness.sandbox.fail(answer)
            step = f"The incomplete answer {number}"
            await harness.refused(VendorFailed, harness.generate(), step)


async def vectors_belong_to_their_texts(make: Open) -> None:
    """Vectors have the order of the texts, and a missing vector is a failure."""
    async with make() as harness:
        make_answer = harness.subject.vectors
        is_supported = InferenceCapability.EMBEDDINGS in harness.capabilities
        require(is_supported == (make_answer is not None), "The subject's `vectors` are wrong.")
        if make_answer is None:
            return
        request = EmbeddingRequest(["an invoice", "a reminder"])
        harness.sandbox.fail(make_answer({1: [0.5, -0.25], 0: [1.0, 2.0]}))
        embeddings = await harness("embed", request)
        vectors = ((1.0, 2.0), (0.5, -0.25))
        require(embeddings.vectors == vectors, f"The vectors were read as {embeddings.vectors}.")
        wrong_answers: tuple[dict[int, list[Any]], ...] = (
            {0: [1.0]},
            {0: [1.0], 2: [1.0]},
            {0: [1.0], 1: []},
            {0: [1.0], 1: [1.0, 2.0]},
            {0: [1.0], 1: ["1.0"]},
            {0: [1.0], 1: [True]},
            {0: [1.0], 1: [10**400]},
        )
        for numbers in wrong_answers:
            harness.sandbox.fail(make_answer(numbers))
            await harness.refused(
                VendorFailed, harness("embed", request), f"An answer with {numbers}"
            )


async def a_lost_answer_is_requested_again(make: Open) -> None:
    """After a lost response, the same key sends the request again: only tokens are billed twice."""
    async with make() as harness:
        harness.sandbox.fail(Lost())
        await harness.refused(ConnectionFailed, harness.generate(key=_KEY), "A lost answer")
        sent_count = len(harness.sandbox.requests)
        generation = await harness.generate(key=_KEY)
        require(generation.finish is FinishReason.COMPLETE, "A repeat has another result.")
        require(len(harness.sandbox.requests) > sent_count, "A repeat sent nothing.")


async def a_stream_has_the_same_answer(make: Open) -> None:
    """A streamed answer is requested and read like a whole one, and its pieces are its text."""
    async with make() as harness:
        if InferenceCapability.STREAMS not in harness.capabilities:
            return
        no_fields: Mapping[str, Any] = {}
        for request, expected in (*harness.subject.requests, (_CALLING, no_fields)):
            pieces: list[str] = []
            answer = await harness.read(await harness("stream", request), pieces=pieces)
            body = harness.sandbox.requests[-1].json()
            for name, value in expected.items():
                require(
                    body.get(name) == value,
                    f"A streamed request has {body.get(name)!r} as {name}, not {value!r}.",
                )
            whole_answer = await harness.generate(request)
            require(answer is not None, "A stream ended without an answer.")
            require("".join(pieces) == answer.text, "The pieces of a stream are not its text.")
            for name in ("text", "finish", "vendor_finish", "usage", "model"):
                streamed, whole = getattr(answer, name), getattr(whole_answer, name)
                require(streamed == whole, f"A stream has {streamed!r} as {name}, not {whole!r}.")
            calls = [
                [(call.name, call.arguments) for call in item.tool_calls]
                for item in (answer, whole_answer)
            ]
            require(calls[0] == calls[1], f"A stream has the tool calls {calls[0]}.")
            require(unpack(pack(answer)) == answer, "A streamed result cannot be stored.")


async def a_broken_stream_is_a_failure(make: Open) -> None:
    """If a stream breaks, the error is raised, the text is kept, and nothing is sent again."""
    async with make() as harness:
        if InferenceCapability.STREAMS not in harness.capabilities:
            return
        require(harness.subject.error_event, "The subject lacks an `error_event`.")
        for ending, error in ((b"", ConnectionFailed), (harness.subject.error_event, VendorFailed)):
            for is_begun in (True, False):
                sent_count = len(harness.sandbox.requests)
                harness.sandbox.fail(*[AlteredAnswer(partial(_cut, ending, is_begun=is_begun))] * 2)
                pieces: list[str] = []
                arriving = await harness("stream", GenerationRequest(_WORDS))
                step = f"A stream that ends with {ending!r}"
                await harness.refused(error, harness.read(arriving, pieces=pieces), step)
                harness.sandbox.forget_faults()
                require(arriving.generation is None, "A broken stream has a complete answer.")
                require(arriving.text == "".join(pieces), "The text of a broken stream is lost.")
                require(bool(pieces) == is_begun, f"A broken stream had {len(pieces)} pieces.")
                require(
                    len(harness.sandbox.requests) - sent_count == 1 + (not is_begun),
                    "Only a stream without any text may be requested again.",
                )


def _cut(ending: bytes, response: Response, *, is_begun: bool) -> Response:
    """Return a streamed response that breaks off within its text, or before its first text."""
    position = response.body.index(_LAST_WORD.encode())
    start = response.body.rfind(b"\n\n", 0, position) + 2 if is_begun else 0
    return response.evolve(body=response.body[:start] + ending)


async def nothing_shows_the_conversation(make: Open) -> None:
    """No repr of a request or a result shows a text of the conversation."""
    async with make() as harness:
        request = GenerationRequest(_QUESTION, instructions="Answer in one word.")
        shown_text = f"{request!r}{await harness.generate(request)!r}"
        for text in (_QUESTION, "Answer in one word."):
            require(text not in shown_text, "A repr shows the conversation.")


_ALL_CHECKS: Final = (
    a_request_is_in_the_vendors_words,
    an_answer_is_read_in_full,
    finish_words_have_their_meanings,
    an_incomplete_answer_is_a_failure,
    vectors_belong_to_their_texts,
    a_lost_answer_is_requested_again,
    a_stream_has_the_same_answer,
    a_broken_stream_is_a_failure,
    nothing_shows_the_conversation,
)

CHECKS: Final[tuple[Check, ...]] = (
    *contract_conformance.CHECKS,
    *through_hub(_ALL_CHECKS, Harness.with_sync_hub),
)
ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = (
    *contract_conformance.ASYNC_CHECKS,
    *through_async_hub(_ALL_CHECKS, Harness.with_async_hub),
)
