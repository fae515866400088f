"""An MQTT broker that sends packets endlessly cannot delay a caller past the deadline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moorage import ConnectionFailed, Message, RetryPolicy
from tests.support.flooding import MOST, flooding_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.adapters.messages.publisher_harness import Harness

FLOODS = {
    "acknowledgements": b"A" * 65_536,
    "pongs": b"\xd0\0" * 32_768,
    "no MQTT": b"\0" * 65_536,
}


@pytest.mark.parametrize("flood", FLOODS)
def test_flood_ends_at_the_deadline(mqtt: Callable[..., Harness], flood: str) -> None:
    """If a broker floods a new connection with packets, the client closes it at the deadline."""
    with flooding_server(FLOODS[flood]) as (port, sent):
        harness = mqtt(
            f"mqtt://127.0.0.1:{port}",
            service={"retry": RetryPolicy.none()},
            connect_timeout=0.5,
        )
        with pytest.raises(ConnectionFailed) as excinfo:
            harness.publish("orders", Message(b"1"), timeout=600.0)

    assert not excinfo.value.may_have_been_processed
    assert sum(sent) < MOST
