"""A SOAP service on this machine, and managers that call it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moorage import AsyncConnectorManager, ConnectorManager, RetryPolicy, Service, Soap, Wsdl
from moorage.testing import SoapServer, SoapServerFault

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(__file__).parent / "wsdl"
WSDL = FOLDER / "quotes.wsdl"
MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)
QUOTE = {"price": Decimal("149.90"), "at": MOMENT, "tag": ["a", "b"]}
ORDER: dict[str, Any] = {"symbol": "ABC", "pieces": 3, "side": "buy"}
PASSWORD = "hunter2-hunter2"


def place_order(order: dict[str, Any], code: str | None) -> Any:
    """Accept an order as the SOAP operation PlaceOrder, or raise the fault that its code names."""
    if code is not None:
        kind, _, text = code.partition(":")
        raise SoapServerFault(kind, text or "No.", f"<why><text>{text}</text></why>")
    return order["pieces"]


def new_server(port: str = "Old") -> SoapServer:
    """Return a server that implements every operation of the WSDL."""
    operations: dict[str, Callable[..., Any]] = {
        "GetQuote": lambda symbol: QUOTE,
        "PlaceOrder": place_order,
        "Hello": lambda: "hello",
        "Notify": lambda: None,
    }
    return SoapServer(WSDL, operations, port=port)


def perform(url: str, operation: Any, *, is_async: bool = False, **options: Any) -> Any:
    """Perform an operation with a new manager."""
    key = options.pop("service", None) or Service("quotes", base_url=url, retry=RetryPolicy(3, 0))
    if not is_async:
        with ConnectorManager([key]) as manager:
            return manager.perform("quotes", operation, **options)

    async def run() -> Any:
        async with AsyncConnectorManager([key]) as manager:
            return await manager.perform("quotes", operation, **options)

    return asyncio.run(run())


def fetch(url: str, path: str = "/soap?wsdl", *, is_async: bool = False, **options: Any) -> Wsdl:
    """Load a WSDL with a manager."""
    service = Service("quotes", base_url=url)
    if not is_async:
        with ConnectorManager([service]) as manager:
            return Wsdl.fetch(manager, "quotes", path, **options)

    async def run() -> Wsdl:
        async with AsyncConnectorManager([service]) as manager:
            return await Wsdl.afetch(manager, "quotes", path, **options)

    return asyncio.run(run())


def soap(**options: Any) -> Soap:
    """Return the SOAP service of the WSDL file, which sends requests to the path /soap."""
    return Soap(wsdl=Wsdl.from_file(WSDL), location="/soap", **options)
