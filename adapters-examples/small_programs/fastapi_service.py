"""A FastAPI service that accepts payments, receives webhooks and reports its health.

    uvicorn --factory fastapi_service:create_app

moorage.toml names the vendor, and this file does not.
"""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

import moorage
from moorage import AsyncHealthApp, AsyncHealthMonitor, ConnectorError, Money, VendorRejected
from moorage.contracts.payments import BuyerOutcome, Charge, buyer_notice
from moorage.domain.webhooks.replies import reply_to
from moorage.hub.receiving import from_starlette

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

STATUSES = {"declined": 402, "not_attempted": 422, "unknown": 202, "unavailable": 503}
"""The HTTP status for each outcome of a failed payment. After `unknown` the buyer may have paid; a
repeated request with the same number looks the payment up, and never charges twice."""


class Order(BaseModel):
    """The body of a payment request: the amount, and the token from the vendor's form."""

    amount: Decimal
    currency: str = "EUR"
    token: str


def create_app(configuration: Any = "moorage.toml", **ports: Any) -> FastAPI:
    """Return the application; tests pass their own configuration and ports."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with (
            moorage.aopen(configuration, **ports) as hub,
            AsyncHealthMonitor(hub) as monitor,
        ):
            app.state.hub, app.state.paid, app.state.refusals = hub, [], Counter()
            app.mount("/health", AsyncHealthApp(monitor))
            yield

    app = FastAPI(title="Shop", lifespan=lifespan)

    @app.exception_handler(ConnectorError)
    async def tell(_: Request, error: ConnectorError) -> JSONResponse:
        notice = buyer_notice(error)
        body = {"outcome": notice.outcome, "text": notice.text}
        return JSONResponse(body, STATUSES[notice.outcome])

    @app.post("/orders/{number}/payment", status_code=201)
    async def pay(number: str, order: Order) -> dict[str, str]:
        charge = Charge(Money(order.amount, order.currency), order.token, reference=number)
        refusals = app.state.refusals[number]  # store it in a column of the order
        key = f"pay {number}/{refusals}"
        try:
            payment = await app.state.hub.payments().charge(charge, idempotency_key=key)
        except VendorRejected as error:
            if buyer_notice(error).outcome is not BuyerOutcome.UNKNOWN:
                app.state.refusals[number] = refusals + 1  # another card is another payment
            raise
        return {"outcome": payment.state, "payment": str(payment.ref)}

    @app.post("/webhooks/{account}")
    async def receive(account: str, request: Request) -> Response:
        try:
            if await app.state.hub.find_account(account) is None:
                return Response(status_code=404)
            verifier = app.state.hub.webhooks(account)
            async with verifier.receive(**await from_starlette(request)) as events:
                app.state.paid += [event.type for event in events]  # store it in your own table
        except ConnectorError as error:
            reply = reply_to(error)
            return Response(reply.body, reply.status, media_type=reply.content_type)
        return Response()

    return app
