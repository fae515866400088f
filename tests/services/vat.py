"""A service that the tests of calls call."""

from __future__ import annotations

from mooring import (
    Request,
    Service,
)

GET = Request.get("/rates")
POST = Request.post("/orders", json={"number": 1})


def vat(**options: object) -> Service:
    """A service with nothing but what a test gives it."""
    given = {"base_url": "https://vat.example", "circuit": None, "retry": None} | options
    return Service("vat", **given)  # type: ignore[arg-type]  # as each test says
