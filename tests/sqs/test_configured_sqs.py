"""Connectors of Amazon SQS that are created from a configuration."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import Any

import moorage
from moorage import AsyncMessagePublisher, MessagePublisher

SOURCE: dict[str, Any] = {
    "connectors": {
        "queues": {
            "kind": "sqs",
            "region": "eu-central-1",
            "account": "123456789012",
            "access_key_id": "A",
            "secret_access_key": "secret://env/SQS_SECRET",
        }
    }
}


def test_configuration_makes_a_connector_of_each_mode(monkeypatch: Any) -> None:
    """`kind = "sqs"` in a configuration creates a publisher whose repr shows no secret."""
    monkeypatch.setenv("SQS_SECRET", "opensesame")
    with moorage.open(SOURCE) as hub:
        connector = hub.connectors.get("queues", MessagePublisher)
        assert connector.kind == "sqs"
        assert "opensesame" not in f"{connector!r} {vars(connector)}"

    async def open_hub() -> None:
        async with moorage.aopen(SOURCE) as hub:
            assert hub.connectors.get("queues", AsyncMessagePublisher).kind == "sqs"

    asyncio.run(open_hub())


def test_package_does_not_load_the_connector_unless_it_is_used() -> None:
    """Neither importing moorage nor opening a hub without connectors imports the SQS connector."""
    code = (
        "import sys, moorage; moorage.open({}).close();"
        " sys.exit(any('sqs' in name for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0
