"""A host that shows errors with Django's pages and mails, an error tracker, and tracebacks.

It is a separate program, because these tools change their process. It reads secrets as JSON, makes
failing calls, and prints as JSON what each tool showed. Only the frames of the call know the
secrets.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from typing import TYPE_CHECKING, Any, Final

import django
import rich.console
import rich.traceback
import sentry_sdk
from django.conf import settings
from django.core import mail
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import path
from django.utils.log import AdminEmailHandler
from sentry_sdk.transport import Transport

from moorage import (
    AsyncConnectorManager,
    CircuitState,
    ConnectorManager,
    Credentials,
    Request,
    RetryPolicy,
    Service,
)
from moorage.testing.fakes.http_server import Behaviour, VendorServer

if TYPE_CHECKING:
    from django.http import HttpRequest
    from sentry_sdk.envelope import Envelope

_mail: Any = mail

CASES: Final = ("slow", "503", "reset", "cut", "hook", "body", "newline", "elsewhere", "open")
MODES: Final = ("sync", "async", "given-up")


class HiddenSecrets:
    """The managers and secrets of calls, stored where no frame of the caller shows them."""

    secrets: dict[str, str]
    plain: ConnectorManager
    is_async: AsyncConnectorManager
    reports: list[bytes] = []  # noqa: RUF012 - there is one world


def _fails(request: Request) -> Request:
    raise LookupError("the hook failed")


def _request(case: str) -> Request:
    if case == "newline":
        return Request.get("/", headers={"X-Api-Key": HiddenSecrets.secrets["header"] + "\n"})
    if case == "elsewhere":
        return Request.get(f"https://other.example/?token={HiddenSecrets.secrets['query']}")
    return Request.post(
        f"/{case}",
        query={"token": HiddenSecrets.secrets["query"]},
        headers={"X-Partner": HiddenSecrets.secrets["header"]},
        json=object() if case == "body" else {"password": HiddenSecrets.secrets["body"]},
    )


def call(case: str, mode: str) -> None:
    """Make a failing call, so that a tool shows its error."""
    service = {"hook": "hooked", "open": "closed"}.get(case, "shop")
    if mode == "sync":
        HiddenSecrets.plain.call(service, _request(case))
    elif mode == "async":
        asyncio.run(_run_case_async(service, case))
    else:
        asyncio.run(_given_up(service, case))


async def _run_case_async(service: str, case: str) -> None:
    await HiddenSecrets.is_async.call(service, _request(case))


async def _given_up(service: str, case: str) -> None:
    async with asyncio.timeout(0.05):
        await HiddenSecrets.is_async.call(service, _request(case))


def fail_with_secret(case: str, mode: str) -> None:
    """Raise an error while a local variable has a secret, to test the tools themselves."""
    sight = HiddenSecrets.secrets["sight"]
    if sight:
        raise LookupError(sight)


def view(request: HttpRequest, case: str, mode: str) -> HttpResponse:
    """A Django view that makes a failing call."""
    (fail_with_secret if case == "leak" else call)(case, mode)
    return HttpResponse(b"never")


urlpatterns = [path("<str:case>/<str:mode>", view)]


class RecordingTransport(Transport):
    """An error tracker's transport that collects reports."""

    def capture_envelope(self, envelope: Envelope) -> None:
        """Collect a report of the error tracker."""
        HiddenSecrets.reports.append(envelope.serialize())


def error_tool_output(case: str, mode: str) -> dict[str, str]:
    """Return the output of each error tool for this failure."""
    client: Any = Client(raise_request_exception=False)
    html = client.get(f"/{case}/{mode}", headers={"accept": "text/html"})
    text = client.get(f"/{case}/{mode}", headers={"accept": "text/plain"})
    try:
        (fail_with_secret if case == "leak" else call)(case, mode)
    except Exception as error:  # noqa: BLE001 - to be shown
        HiddenSecrets.reports.clear()
        sentry_sdk.capture_exception(error)
        _mail.outbox = []
        record = logging.LogRecord("host", logging.ERROR, "", 0, "it failed", (), sys.exc_info())
        record.request = RequestFactory().get("/")
        AdminEmailHandler(include_html=True).emit(record)
        pretty_output = io.StringIO()
        console = rich.console.Console(file=pretty_output, width=400)
        console.print(rich.traceback.Traceback(show_locals=True, locals_max_string=10_000))
    else:
        raise SystemExit(f"{case} did not fail")
    letter = _mail.outbox[0]
    return {
        "html page": html.content.decode(),
        "text page": text.content.decode(),
        "mail": letter.body,
        "html in mail": str(letter.alternatives[0].content),
        "report": HiddenSecrets.reports[0].decode(),
        "pretty": pretty_output.getvalue(),
    }


def main() -> None:
    """Make every failing call in every mode, and print the output of all error tools."""
    HiddenSecrets.secrets = json.load(sys.stdin)
    settings.configure(
        DEBUG=True,
        SECRET_KEY="of no use",
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        ADMINS=[("A", "a@host.example")],
        EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend",
        LOGGING_CONFIG=None,
    )
    django.setup()
    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", transport=RecordingTransport)
    with VendorServer() as vendor:
        result = HiddenSecrets.secrets["answer"].encode()
        echo = {"Set-Cookie": HiddenSecrets.secrets["answer"]}
        vendor.always(Behaviour(200, echo, result * 99, delay=0.3), path="/slow")
        vendor.always(Behaviour(503, echo, result), path="/503")
        vendor.always(Behaviour(raw=b"", then="reset"), path="/reset")
        vendor.always(Behaviour(200, echo, result * 99, cut=50, then="close"), path="/cut")
        shop = Service(
            "shop",
            base_url=vendor.url,
            credentials=Credentials.api_key(HiddenSecrets.secrets["credential"], query="ident"),
            headers={"X-Tenant": HiddenSecrets.secrets["service"]},
            retry=RetryPolicy(2, 0),
            attempt_timeout=0.1,
            circuit=None,
        )
        hooked = Service(
            "hooked",
            base_url=vendor.url,
            credentials=Credentials.bearer(HiddenSecrets.secrets["bearer"]),
            request_transforms=_fails,
        )
        closed_service = Service(
            "closed",
            base_url=vendor.url,
            credentials=Credentials.bearer(HiddenSecrets.secrets["bearer"]),
        )
        HiddenSecrets.plain = ConnectorManager([shop, hooked, closed_service])
        HiddenSecrets.plain.set_circuit("closed", CircuitState.FORCED_OPEN)
        HiddenSecrets.is_async = AsyncConnectorManager([shop, hooked, closed_service])
        asyncio.run(HiddenSecrets.is_async.set_circuit("closed", CircuitState.FORCED_OPEN))
        shown_cases = {
            f"{case} {mode}": error_tool_output(case, mode)
            for mode in MODES
            for case in (*CASES, "leak")
        }
    json.dump(shown_cases, sys.stdout)


if __name__ == "__main__":
    main()
