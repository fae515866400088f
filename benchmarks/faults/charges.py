"""Faults that can charge twice: a lost answer, and a double click."""

from __future__ import annotations

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

from benchmarks.faults.trial import Observation, Trial, call_at_once, serve
from moorage import ConnectorManager, Request, RetryPolicy, Service
from moorage.errors import ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sized


@contextmanager
def _vendor(lost: int) -> Iterator[tuple[str, list[str]]]:
    """Yield a vendor that charges, but closes the connection instead of its first answers."""
    charges: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        """Charges for each request with a new key; repeats the result for an earlier key."""

        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Charge, and respond unless the response should be lost."""
            self.rfile.read(int(self.headers["Content-Length"]))
            key = self.headers.get("Idempotency-Key")
            if key is None or key not in charges:
                charges.append(key or f"charge {len(charges)}")
            attempts.append(key)
            if len(attempts) <= lost:
                self.close_connection = True
                return
            body = json.dumps({"charge": charges[-1]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    attempts: list[str | None] = []
    with serve(Handler) as url:
        yield url, charges


def _observation(charges: Sized, ending: str = "") -> Observation:
    count = "1 charge" if len(charges) == 1 else f"{len(charges)} charges"
    return Observation(f"{count}{ending}", len(charges) == 1)


def lost_answer() -> dict[str, Trial]:
    """If the answer to a charge is lost twice, the buyer must still be charged only once."""

    def charge_with_moorage(key: str | None) -> Observation:
        with _vendor(lost=2) as (url, charges):
            service = Service(
                "pay",
                base_url=url,
                retry=RetryPolicy(base_delay=0.01),
                idempotency_header="Idempotency-Key",
                idempotency_memory=86_400,
            )
            request = Request.post("/", json={"amount": 1})
            with ConnectorManager([service]) as manager:
                try:
                    manager.call("pay", request, idempotency_key=key)
                except ConnectionFailed:
                    return _observation(charges, ", and an error that says it may have happened")
            return _observation(charges, ", and a receipt")

    def urllib3_() -> Observation:
        import urllib3

        with _vendor(lost=2) as (url, charges):
            retries = urllib3.Retry(5, allowed_methods=None, backoff_factor=0.01)
            with urllib3.PoolManager() as pool:
                pool.request("POST", url, json={"amount": 1}, retries=retries)
            return _observation(charges, ", and a receipt")

    def stamina_() -> Observation:
        import stamina
        import urllib3

        with _vendor(lost=2) as (url, charges), urllib3.PoolManager() as pool:

            def pay() -> None:
                pool.request("POST", url, json={"amount": 1}, retries=False)

            retried = stamina.retry(on=urllib3.exceptions.HTTPError, wait_initial=0.01, attempts=5)
            retried(pay)()
            return _observation(charges, ", and a receipt")

    return {
        "moorage, without a key": lambda: charge_with_moorage(None),
        "moorage, with a key": lambda: charge_with_moorage("order 1"),
        "urllib3's Retry": urllib3_,
        "stamina": stamina_,
    }


def double_submit() -> dict[str, Trial]:
    """Twenty simultaneous submissions of one order must make only one charge."""

    def submit(pay: Callable[[], object], charges: list[int]) -> Observation:
        call_at_once(pay)
        return _observation(charges)

    def charge_with_moorage() -> Observation:
        charges: list[int] = []
        with ConnectorManager([Service("pay")]) as manager:
            return submit(
                lambda: manager.run("pay", lambda: charges.append(1), idempotency_key="order 1"),
                charges,
            )

    def stamina_() -> Observation:
        import stamina

        charges: list[int] = []
        pay = stamina.retry(on=ConnectionError)(lambda: charges.append(1))
        return submit(pay, charges)

    return {"moorage": charge_with_moorage, "stamina": stamina_}
