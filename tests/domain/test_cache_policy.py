"""The settings of a response cache."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from moorage import CachePolicy, ConfigurationError, InvalidData
from moorage.domain.service import cache_policy
from tests.support.module_copies import rerun_module


def test_durations_may_be_timedeltas() -> None:
    """The durations in a cache policy may be timedeltas."""
    assert CachePolicy(keep_stale=60.0) == CachePolicy(keep_stale=timedelta(minutes=1))


def test_headers_are_names_in_any_case() -> None:
    """A cache policy's `varies_by` takes one or several headers, in any order and case."""
    assert ("a", "x-b") == CachePolicy(varies_by=["X-B", "A", "x-b"]).varies_by
    assert ("x-account",) == CachePolicy(varies_by="X-Account").varies_by


@pytest.mark.parametrize(
    "name, value",
    [
        ("heuristic", -0.1),
        ("heuristic", 1.1),
        ("heuristic", True),
        ("heuristic", "0.1"),
        ("heuristic_limit", 0),
        ("default_lifetime", -1),
        ("stale_if_error", -1),
        ("keep_stale", float("inf")),
        ("max_bytes", 0),
        ("max_bytes", (32 << 20) + 1),
        ("max_variants", 0),
        ("max_variants", 1001),
        ("max_wait", 0),
    ],
)
def test_invalid_settings_are_refused(name: str, value: Any) -> None:
    """An invalid cache policy setting is refused; the error contains its name."""
    for kind in (CachePolicy, rerun_module(cache_policy).CachePolicy):
        with pytest.raises(ConfigurationError) as excinfo:
            kind(**{name: value})
        assert name == excinfo.value.path


def test_largest_settings_are_valid() -> None:
    """The largest value of each cache policy setting is valid."""
    largest_settings: dict[str, Any] = {
        "heuristic": 1,
        "max_bytes": 32 << 20,
        "max_variants": 1_000,
    }
    for kind in (CachePolicy, rerun_module(cache_policy).CachePolicy):
        policy = kind(**largest_settings)
        assert largest_settings == {name: getattr(policy, name) for name in largest_settings}


@pytest.mark.parametrize("names", ["a b", ["a:"], [1]])
def test_invalid_header_names_are_refused(names: Any) -> None:
    """A string that is not a header name is refused in a cache policy's `varies_by`."""
    with pytest.raises(InvalidData):
        CachePolicy(varies_by=names)
