"""Liveness and readiness of a Django project."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.test import Client

from moorage import CircuitState
from moorage.hub.internals import flows_of
from moorage_django import hub
from moorage_django.runtime import process
from tests.embedding.django.shop import Shop, open_shop

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture
def shop() -> Generator[Shop]:
    """Return a shop with a Django project."""
    with open_shop(Shop()) as new_shop:
        yield new_shop


def test_health_pages_report_the_state(shop: Shop) -> None:
    """The health pages show whether the process is alive and ready, and if not, why."""
    client = Client()
    assert {"state": "alive"} == client.get("/health/live").json()
    ready_response = client.get("/health/ready")
    assert (200, "healthy") == (ready_response.status_code, ready_response.json()["state"])
    assert "no-store" == ready_response["Cache-Control"]
    assert b"" == client.head("/health/ready").content
    assert 405 == client.post("/health/ready").status_code

    for name in flows_of(hub().manager).plans.services:
        hub().manager.set_circuit(name, CircuitState.FORCED_OPEN)
    process.health().check()
    health_response = client.get("/health/")
    assert (503, "unavailable") == (health_response.status_code, health_response.json()["state"])
