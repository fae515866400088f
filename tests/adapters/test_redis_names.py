"""The name of a Redis store in error messages."""

from __future__ import annotations

import pytest

from moorage.adapters.state._redis_server import RedisServer


@pytest.mark.parametrize(
    "url, shown",
    [
        ("redis://s3cret@127.0.0.1:1/0", "redis://***@127.0.0.1:1/0"),
        ("redis://me:s3cret@127.0.0.1:1/0", "redis://me:***@127.0.0.1:1/0"),
        ("redis://:s3cret@127.0.0.1:1/0", "redis://:***@127.0.0.1:1/0"),
        ("redis://127.0.0.1:1/0", "redis://127.0.0.1:1/0"),
    ],
)
def test_no_secret_is_part_of_a_name(url: str, shown: str) -> None:
    """The name of a Redis store has no password, even one in place of the URL's user name."""
    assert shown == RedisServer(url, is_async=False, timeout=0.5, ca=None, may_evict=False).address
