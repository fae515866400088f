"""The options that all accounts at vendors of language models share."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.inference import ModelImage, TokenUsage
    from moorage.vendor_sdk import Service

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


def base64_text(image: ModelImage) -> str:
    """An image's bytes in base64."""
    return base64.b64encode(image.content).decode()


def total_tokens(result: Any) -> int:
    """The tokens that a result used."""
    usage: TokenUsage = result.usage
    return usage.total
