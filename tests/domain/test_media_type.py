"""Reading `Content-Type`."""

# ruff: noqa: ANN401 - what the types forbid is tried too

from __future__ import annotations

from typing import Any

import pytest

from mooring.domain.media_type import charset, essence, is_json


@pytest.mark.parametrize(
    "content_type, expected",
    [
        (None, ""),
        ("", ""),
        ("Text/HTML", "text/html"),
        (" text/html ; charset=utf-8", "text/html"),
    ],
)
def test_the_essence_leaves_parameters_out(content_type: str | None, expected: Any) -> None:
    """Only type and subtype remain, in lower case."""
    assert expected == essence(content_type)


@pytest.mark.parametrize(
    "content_type, expected",
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/problem+json", True),
        ("text/json", True),
        ("application/x-ndjson", False),
        ("text/plain; note=+json", False),
        (None, False),
    ],
)
def test_json_goes_by_several_names(content_type: str | None, expected: Any) -> None:
    """JSON is known by its name and by its suffix, not by its parameters."""
    assert expected is is_json(content_type)


@pytest.mark.parametrize(
    "content_type, expected",
    [
        ("text/html; charset=ISO-8859-1", "ISO-8859-1"),
        ('text/html;CHARSET="utf-8"; x=y', "utf-8"),
        ("text/html", None),
        (None, None),
    ],
)
def test_the_charset_may_be_quoted(content_type: str | None, expected: Any) -> None:
    """A declared charset is found in either notation."""
    assert expected == charset(content_type)
