"""The options that all accounts at vendors of language models share."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.inference import OpenedGeneration, ToolCall

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.inference import (
        AnswerEvents,
        GenerationRequest,
        ModelImage,
        ServerSentEvent,
        TokenUsage,
    )
    from moorage.vendor_sdk import Request, Response, Service, Wire

_MOST_TOKENS: Final = 10**15
"""The largest budget, which a store counts exactly."""


@attrs.frozen(kw_only=True)
class ModelAccount(sdk.ApiVendor):
    """An account at a vendor of language models.

    Attributes:
        model: the vendor's name of the model for requests that name none.
        daily_tokens: tokens that all processes together may use in a calendar day, in UTC.
        monthly_tokens: tokens that they may use in a calendar month, in UTC.
    """

    # The only effect of a request is that tokens are billed, so it is sent again after a lost
    # response.
    unknown_outcomes: ClassVar[Mapping[str, sdk.UnknownOutcome]] = sdk.words(
        sdk.UnknownOutcome.REPEATED, "generate"
    )

    model: str
    daily_tokens: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(sdk.whole_number(most=_MOST_TOKENS))
    )
    monthly_tokens: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(sdk.whole_number(most=_MOST_TOKENS))
    )

    def settings(self) -> Mapping[str, Any]:
        """Return the headers of every request, and time limits that long answers need."""
        return {"headers": self.headers, "timeout": 120.0, "attempt_timeout": 110.0}

    def services(self) -> Mapping[str, Service]:
        """Return the vendor's API, and the account's budget if it has one."""
        budget = sdk.token_budget(self.name, daily=self.daily_tokens, monthly=self.monthly_tokens)
        return {**super().services(), **budget}


async def open_answer(
    wire: Wire, sent_request: Request, request: GenerationRequest, events: AnswerEvents
) -> OpenedGeneration:
    """Send a request for an answer in pieces.

    Args:
        wire: sends the request.
        sent_request: request in the vendor's words.
        request: request of the caller.
        events: reads the events of the answer.
    """
    response = await wire.open_within_budget(
        sent_request.evolve(idempotent=True), most=request.most_tokens
    )
    return OpenedGeneration(arriving=response, events=events)


def read_event(event: ServerSentEvent, vendor: str) -> tuple[Response, sdk.Answer]:
    """The data of an event, as a response and as an answer.

    Raises:
        VendorFailed: the data is not a JSON object, or reports an error.
    """
    response = sdk.Response(200, body=event.data.encode())
    answer = sdk.read_answer(response)
    if answer.value("error"):
        error = answer.object("error")
        code = error.text("code") or error.text("type")
        raise sdk.VendorFailed(
            f"{vendor} ended its answer with an error before it was complete.", vendor_code=code
        )
    return response, answer


def base64_text(image: ModelImage) -> str:
    """An image's bytes in base64."""
    return base64.b64encode(image.content).decode()


def total_tokens(result: Any) -> int:
    """The tokens that a result used."""
    usage: TokenUsage = result.usage
    return usage.total


def read_arguments(arguments: Any) -> dict[str, Any] | None:
    """The arguments of a tool call, an object or its JSON text; None if they are incomplete.

    Unpaired surrogates, which could not be sent back to the vendor, become question marks.
    """
    try:
        value = json.loads(arguments or "{}") if isinstance(arguments, str) else arguments
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        value = json.loads(text.encode(errors="replace"))
    except (RecursionError, ValueError):
        return None
    return value if sdk.is_object(value) else None


def read_tool_call(
    response: Response, id: str | None, name: str | None, arguments: Mapping[str, Any] | None
) -> ToolCall:
    """A tool call, from a vendor's response.

    Raises:
        VendorFailed: the id, the name or the arguments are missing.
    """
    return ToolCall(
        sdk.required(id, response, "id of a tool call"),
        sdk.required(name, response, "name of a tool call"),
        sdk.required(arguments, response, "arguments of a tool call"),
    )
