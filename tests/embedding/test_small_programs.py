"""The small example programs, run as their first lines describe."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from small_programs import celery_worker, fastapi_service, nightly_rates
from starlette.testclient import TestClient

from moorage import PaymentDeclined, Response
from moorage.cli.exit_codes import UNREACHABLE
from moorage.testing import Behaviour, VendorServer
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, Lost, SandboxHttpClient
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from tests.support.command import command
from tests.support.schema import fits

FOLDER: Final = Path(fastapi_service.__file__).parent
OBJECTS: Final = json.loads(
    (Path(__file__).parents[1] / "scaffold" / "kubernetes_objects.json").read_text("utf-8")
)
ORDER: Final = {"amount": "149.90", "token": "tok_visa"}


def shop(stripe: StripeSandbox) -> dict[str, Any]:
    """Return a configuration whose payments go to this sandbox."""
    account = {
        "credentials": stripe.api_key,
        "webhook_secrets": [stripe.webhook_secret],
        "retry": {"max_attempts": 1},
        "volatile_keys": True,
    }
    return {"payments": {"vendor": "stripe"}, "vendors": {"stripe": account}, "health": {}}


def test_examples_are_short() -> None:
    """Each example program has at most a hundred lines."""
    for path in [*FOLDER.glob("*.py"), *FOLDER.glob("*.yaml")]:
        assert len(path.read_text("utf-8").splitlines()) <= 100, path.name


# --- FastAPI -----------------------------------------------------------------------------


def test_fastapi_service_charges_an_order_once() -> None:
    """Paying one order twice makes one charge, and each error has its own HTTP status."""
    stripe = StripeSandbox()
    app = fastapi_service.create_app(shop(stripe), http=AsyncSandboxHttpClient(stripe))
    with TestClient(app) as client:
        first = client.post("/orders/INV-1/payment", json=ORDER)
        second_response = client.post("/orders/INV-1/payment", json=ORDER)
        declined = client.post(
            "/orders/INV-2/payment", json=ORDER | {"token": "tok_visa_chargeDeclined"}
        )
        refused_response = client.post("/orders/INV-3/payment", json=ORDER | {"currency": "EURO"})
        ready, live = client.get("/health/ready"), client.get("/health/live")

    assert (201, first.json()) == (first.status_code, second_response.json())
    assert 402 == declined.status_code
    assert declined.json()["text"]
    assert 422 == refused_response.status_code
    assert (200, 200) == (ready.status_code, live.status_code)
    assert 1 == len(
        [charge for charge in stripe.charges.values() if charge["status"] == "succeeded"]
    )


def test_fastapi_service_takes_another_card_after_a_decline() -> None:
    """A buyer whose card was declined can pay the order with another card, and only once."""
    stripe = StripeSandbox()
    app = fastapi_service.create_app(shop(stripe), http=AsyncSandboxHttpClient(stripe))
    with TestClient(app) as client:
        declined = client.post(
            "/orders/INV-1/payment", json=ORDER | {"token": "tok_visa_chargeDeclined"}
        )
        paid = [client.post("/orders/INV-1/payment", json=ORDER) for _ in range(2)]

    assert [402, 201, 201] == [declined.status_code, *(answer.status_code for answer in paid)]
    assert paid[0].json() == paid[1].json()


def test_fastapi_service_takes_another_card_after_a_refusal() -> None:
    """A buyer whose card form expired can pay the order with another card, and only once."""
    stripe = StripeSandbox()
    app = fastapi_service.create_app(shop(stripe), http=AsyncSandboxHttpClient(stripe))
    with TestClient(app) as client:
        refused = client.post("/orders/INV-1/payment", json=ORDER | {"token": "tok_expired"})
        paid = [client.post("/orders/INV-1/payment", json=ORDER) for _ in range(2)]

    assert (422, "not_attempted") == (refused.status_code, refused.json()["outcome"])
    assert [201, 201] == [answer.status_code for answer in paid]
    assert 1 == len(stripe.charges)


def test_repeating_request_finds_payment_and_charges_nothing_after_unknown_outcome() -> None:
    """After an unknown outcome, repeating the request finds the payment, and charges nothing."""
    stripe = StripeSandbox()
    app = fastapi_service.create_app(shop(stripe), http=AsyncSandboxHttpClient(stripe))
    with TestClient(app) as client:
        stripe.fail(Lost())
        lost_response = client.post("/orders/INV-1/payment", json=ORDER)
        second_response = client.post("/orders/INV-1/payment", json=ORDER)

    assert (202, "unknown") == (lost_response.status_code, lost_response.json()["outcome"])
    assert 201 == second_response.status_code
    assert 1 == len(stripe.charges)


def test_fastapi_service_receives_webhooks() -> None:
    """A signed webhook is accepted, and a forged one refused."""
    stripe = StripeSandbox()
    app = fastapi_service.create_app(shop(stripe), http=AsyncSandboxHttpClient(stripe))
    with TestClient(app) as client:
        client.post("/orders/INV-1/payment", json=ORDER)
        notice = stripe.sent[-1]
        headers = dict(notice.headers)
        accepted = client.post("/webhooks/stripe", content=notice.body, headers=headers)
        forged = client.post("/webhooks/stripe", content=notice.body + b" ", headers=headers)
        unknown = client.post("/webhooks/nobody", content=notice.body, headers=headers)
        paid = app.state.paid

    assert (200, 401) == (accepted.status_code, forged.status_code)
    assert (404, b"") == (unknown.status_code, unknown.content)
    assert 1 == len(paid)


# --- Celery ------------------------------------------------------------------------------

TASKS: Final[dict[str, Any]] = dict(vars(celery_worker))
"""The tasks of the worker, for which Celery has no types."""


def run_task(name: str, *arguments: str) -> Any:
    """Run a task in this process, as a worker does, and return its result or its error."""
    return TASKS[name].apply(args=arguments).result


@pytest.fixture
def stripe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Yield a sandbox that receives the worker's payments."""
    sandbox = StripeSandbox()
    lines = [
        "[payments]",
        'vendor = "stripe"',
        "[vendors.stripe]",
        'credentials = "secret://env/STRIPE_KEY"',
        "volatile_keys = true",
        "retry = { max_attempts = 1 }",
    ]
    path = tmp_path / "moorage.toml"
    path.write_text("\n".join(lines), "utf-8")
    monkeypatch.setenv("STRIPE_KEY", sandbox.api_key)
    monkeypatch.setenv("MOORAGE_CONFIG", str(path))
    celery_worker.ports["http"] = SandboxHttpClient(sandbox)
    celery_worker.hub.cache_clear()
    yield sandbox
    celery_worker.hub().close()
    celery_worker.hub.cache_clear()
    celery_worker.ports.clear()


def test_celery_task_that_runs_twice_charges_once(stripe: StripeSandbox) -> None:
    """A task that the broker delivers twice returns the same payment."""
    first = run_task("pay", "INV-1", "149.90", "tok_visa")

    assert isinstance(first, str)
    assert first == run_task("pay", "INV-1", "149.90", "tok_visa")
    assert 1 == len(stripe.charges)
    assert 0 == run_task("settle_unknown")


def test_celery_task_of_a_killed_process_goes_back_to_the_queue() -> None:
    """If a worker process is killed, Celery puts its payment task back into the queue."""
    assert (True, True) == (TASKS["pay"].acks_late, TASKS["pay"].reject_on_worker_lost)


def test_celery_task_waits_until_another_try_may_help(stripe: StripeSandbox) -> None:
    """A payment is retried after its vendor was busy; a declined payment fails at once."""
    stripe.fail(Response(429, {"Retry-After": "3"}))
    paid = run_task("pay", "INV-1", "149.90", "tok_visa")
    declined = run_task("pay", "INV-2", "149.90", "tok_visa_chargeDeclined")

    assert isinstance(paid, str)
    assert isinstance(declined, PaymentDeclined)


# --- script ------------------------------------------------------------------------------


def test_script_stores_a_day_once(tmp_path: Path) -> None:
    """Two runs of the script for one day send one request, and both runs succeed."""
    path = str(tmp_path / "shop.db")
    with VendorServer() as vendor:
        vendor.always(Behaviour(200, body=b'{"rates": {"USD": "1.0837", "JPY": "162.11"}}'))
        command = [sys.executable, nightly_rates.__file__, vendor.url, path, "2026-11-25"]
        outputs = [subprocess.check_output(command, text=True) for _ in range(2)]

        assert ["2 rates of 2026-11-25\n"] * 2 == outputs
        assert 1 == len(vendor.requests)
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT currency, value FROM rate ORDER BY currency").fetchall()
    assert [("JPY", "162.11"), ("USD", "1.0837")] == rows


def test_exit_code_is_75_if_vendor_is_unavailable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is 75 if the vendor is unavailable, and 1 if the request is refused."""
    with VendorServer() as vendor:
        vendor.always(Behaviour(503))
        assert 75 == nightly_rates.main([vendor.url, str(tmp_path / "a.db"), "2026-11-25"])
        vendor.always(Behaviour(404))
        assert 1 == nightly_rates.main([vendor.url, str(tmp_path / "b.db"), "2026-11-25"])
    assert "rates" in capsys.readouterr().err


# --- Kubernetes --------------------------------------------------------------------------


def test_manifest_is_valid() -> None:
    """Each object has only fields that Kubernetes knows, and the configuration can be read."""
    objects = [*yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text("utf-8"))]

    assert ["ConfigMap", "Deployment", "Deployment"] == [item["kind"] for item in objects]
    for item in objects:
        assert fits(OBJECTS, OBJECTS["$defs"][OBJECTS["kinds"][item["kind"]]], item)
    configuration = tomllib.loads(objects[0]["data"]["moorage.toml"])
    assert "stripe" == configuration["payments"]["vendor"]


def test_configuration_of_the_manifest_is_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`moorage check` accepts the configuration, except for the cluster's unreachable database."""
    (config_map, *_) = yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text("utf-8"))
    path = tmp_path / "moorage.toml"
    path.write_text(config_map["data"]["moorage.toml"], "utf-8")
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/shop")
    monkeypatch.setenv("STRIPE_KEY", "sk_test_1")
    result = command("check", "--config", str(path))

    assert UNREACHABLE == result.code
    assert "is valid" in result.out
