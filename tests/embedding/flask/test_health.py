"""Liveness and readiness of a Flask application."""

from __future__ import annotations

from contextlib import closing

from moorage import CircuitState
from moorage.hub.internals import flows_of
from tests.embedding.flask.shop import Shop


def test_health_pages_report_the_state(sqlite_url: str) -> None:
    """The health pages show whether the process is alive and ready, and if not, why."""
    with closing(Shop(sqlite_url, HEALTH=True)) as shop:
        shop.objects.migrate()
        client = shop.client()
        assert {"state": "alive"} == client.get("/moorage/live").get_json()
        ready_response = client.get("/moorage/ready")
        assert (200, "healthy") == (ready_response.status_code, ready_response.get_json()["state"])
        assert "no-store" == ready_response.headers["Cache-Control"]
        assert b"" == client.head("/moorage/ready").data

        manager = shop.moorage.hub.manager
        for name in flows_of(manager).plans.services:
            manager.set_circuit(name, CircuitState.FORCED_OPEN)
        shop.objects.health.check()
        refused_response = client.get("/moorage/health")
        assert (503, "unavailable") == (
            refused_response.status_code,
            refused_response.get_json()["state"],
        )


def test_pages_are_off_by_default(sqlite_url: str) -> None:
    """Without the setting the application has no health pages."""
    with closing(Shop(sqlite_url)) as shop:
        assert 404 == shop.client().get("/moorage/live").status_code
