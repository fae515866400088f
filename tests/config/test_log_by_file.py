"""The integration log that a configuration names."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import ConfigurationError, LogQuery
from moorage.adapters.logs.memory import MemoryIntegrationLogger
from moorage.wiring.store_urls import open_log

if TYPE_CHECKING:
    from pathlib import Path

SERVICES = {"vat": {"base_url": "https://vat.example"}}


def test_hub_creates_and_writes_its_configured_log(tmp_path: Path) -> None:
    """A hub creates the table of its configured log, and writes pending entries when it closes."""
    url = f"sqlite:///{tmp_path}/calls.db"
    with moorage.open({"services": SERVICES, "log": {"url": url}}) as hub:
        hub.manager.run("vat", lambda: 1, request_id="order-7")
    with open_log(url) as log:
        assert ["order-7"] == [entry.id for entry in log.find(LogQuery()).items]


def test_asynchronous_hub_closes_its_configured_log(tmp_path: Path) -> None:
    """An asynchronous hub also closes its configured log."""
    url = f"sqlite:///{tmp_path}/calls.db"

    async def call() -> None:
        async with moorage.aopen({"services": SERVICES, "log": {"url": url}}) as hub:
            await hub.manager.run("vat", partial(asyncio.sleep, 0), request_id="order-7")

    asyncio.run(call())
    with open_log(url) as log:
        assert ["order-7"] == [entry.id for entry in log.find(LogQuery()).items]


@pytest.mark.parametrize("options", [{}, {"log": MemoryIntegrationLogger()}])
def test_log_passed_by_program_is_used_instead_of_configured_one(options: Any) -> None:
    """A log passed by the program is used instead of the configured one."""
    with moorage.open({"services": SERVICES, "log": {"url": "memory:"}}, **options) as hub:
        hub.manager.run("vat", lambda: 1)
        if options:
            assert 1 == options["log"].summarise(LogQuery()).count


def test_reload_that_names_another_log_is_refused(tmp_path: Path) -> None:
    """A reload that changes the integration log is refused, unless the program passed the log."""
    source: dict[str, Any] = {"services": SERVICES, "log": {"url": "memory:"}}
    logging_source = {**source, "log": {"url": f"sqlite:///{tmp_path}/calls.db"}}
    with moorage.open(source) as hub:
        with pytest.raises(ConfigurationError, match="change its integration log") as excinfo:
            hub.reload(logging_source)
        assert "log.url" == excinfo.value.path
    with moorage.open(source, log=MemoryIntegrationLogger()) as hub:
        hub.reload(logging_source)
