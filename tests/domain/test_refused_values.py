"""The forms in which error messages show the values that they refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage.domain.http.log_content import LogContent
from moorage.domain.http.requests import Request
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.service.settings import BulkheadConfig, Service
from moorage.domain.steps.step import Resources
from moorage.domain.values.text import brief_repr
from moorage.errors import ConnectorError

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "a-secret-key-of-a-vendor-" * 40_000
VALUES: list[Any] = [KEY, KEY.encode(), [KEY], list(KEY), 10**5_000, -(10**5_000), "\ud800\x1b[31m"]


@pytest.mark.parametrize(
    "make",
    [
        lambda value: Service("a", base_url="https://a.example", timeout=value),
        BulkheadConfig,
        lambda value: RateLimitConfig(value, 1.0),
        lambda value: Request(value, "/"),
        lambda value: LogContent(calls=value),
        lambda value: Resources(memory=-value if value == 10**5_000 else value),
    ],
    ids=["seconds", "count", "rate", "method", "choice", "amount"],
)
@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_refused_values_are_shown_briefly(make: Callable[[Any], object], value: Any) -> None:
    """The error for a refused value is short and printable, shows its type, and hides long text."""
    with pytest.raises(ConnectorError) as excinfo:
        make(value)
    text = str(excinfo.value)
    assert text.isprintable()
    assert len(text) < 400
    assert "secret" not in text


@pytest.mark.parametrize(
    "value, shown",
    [
        ("30", "'30'"),
        (-1.5, "-1.5"),
        (None, "None"),
        ([1], "[1]"),
        ("x" * 25, "<str of 25 characters>"),
        (b"x" * 25, "<bytes of 25 elements>"),
        (range(25), "range(0, 25)"),
        ([["x" * 200]], "<a long list>"),
        (10**5_000, "<a long int>"),
    ],
    ids=range(9),
)
def test_short_values_are_shown(value: object, shown: str) -> None:
    """A short value is shown as Python writes it; a long one by its type and size."""
    assert shown == brief_repr(value)
