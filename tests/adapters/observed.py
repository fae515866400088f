"""A manager with one observer, and a fake vendor whose responses a test prepares."""

from __future__ import annotations

from typing import Any

from moorage import (
    CircuitBreakerConfig,
    ConnectorManager,
    Credentials,
    Endpoint,
    Response,
    RetryPolicy,
    Service,
)
from moorage.domain.signing.sigv4 import AwsSigV4
from moorage.testing import FakeVendor, ScriptedHttpClient

CANARY = "canary-4f9c"
"""A text in every secret and in every path, which no observer may show."""

ANSWERS = (Response(503), Response(200, body=b"four"))


def manager_of(
    observer: Any, *answers: Response, credentials: Credentials | None = None, **settings: Any
) -> tuple[Any, FakeVendor]:
    """Return a manager of the service `erp`, and that service's fake vendor."""
    settings.setdefault("retry", RetryPolicy(max_attempts=2, base_delay=0.0))
    vendor = FakeVendor()
    vendor.queue(*answers)
    service = Service(
        "erp",
        base_url="https://api.vendor.example",
        endpoints=[Endpoint("invoice", path="/invoices/{id}")],
        credentials=credentials,
        **settings,
    )
    http = ScriptedHttpClient(vendor)
    return ConnectorManager([service], http=http, observers=[observer]), vendor


OPENS_AT_ONCE = CircuitBreakerConfig(failures=1, open_for=60)
CREDENTIALS = {
    "bearer": Credentials.bearer(CANARY),
    "basic": Credentials.basic("user", CANARY),
    "header": Credentials.api_key(CANARY, header="X-Key"),
    "query": Credentials.api_key(CANARY, query="key"),
    "aws_sigv4": Credentials.signed(
        AwsSigV4(access_key_id="id", region="eu-central-1", service="execute-api"), CANARY
    ),
}
