"""A Django project for real web servers: settings from the environment, and a view that charges."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.db import transaction
from django.http import HttpResponse
from django.urls import include, path

import moorage_django
from moorage import LogQuery, Money, Secret
from moorage.contracts.payments import Charge

if TYPE_CHECKING:
    from django.http import HttpRequest

FOLDER = Path(os.environ["SITE_FOLDER"])
HOST: dict[str, Any] = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": FOLDER / "erp.sqlite3",
    "ATOMIC_REQUESTS": True,
}


def pay(request: HttpRequest, reference: str) -> HttpResponse:
    """Take money for an order once."""
    payment = moorage_django.hub().payments().charge(_charge(reference), idempotency_key=reference)
    if "fail" in request.GET:
        transaction.set_rollback(True)
    return HttpResponse(payment.ref.id)


async def apay(request: HttpRequest, reference: str) -> HttpResponse:
    """Take money for an order once, in an asynchronous view."""
    payments = moorage_django.ahub().payments()
    payment = await payments.charge(_charge(reference), idempotency_key=reference)
    return HttpResponse(payment.ref.id)


def log(request: HttpRequest) -> HttpResponse:
    """Return the number of calls in the log."""
    from moorage_django.runtime import process  # noqa: PLC0415 - models are ready by now

    return HttpResponse(str(process.log().summarise(LogQuery()).count))


def _charge(reference: str) -> Charge:
    return Charge(Money("149.90", "EUR"), "pm_card_visa", reference=reference)


settings.configure(
    SECRET_KEY="of no use",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=False,
    LOGGING_CONFIG=None,
    INSTALLED_APPS=["moorage_django"],
    MIDDLEWARE=[],
    DATABASES={"default": HOST, "moorage": moorage_django.beside(HOST)},
    DATABASE_ROUTERS=["moorage_django.Router"],
    MOORAGE={
        "CONFIGURATION": {
            "vendors": {
                "stripe": {
                    "base_url": os.environ["SITE_VENDOR"],
                    "credentials": "secret://env/SITE_KEY",
                    "webhook_secrets": [Secret("of no use")],
                }
            }
        }
    },
)
django.setup()

urlpatterns = [
    path("pay/<str:reference>/", pay),
    path("apay/<str:reference>/", transaction.non_atomic_requests(apay)),
    path("log/", log),
    path("moorage/", include("moorage_django.urls")),
]

wsgi = get_wsgi_application()
asgi = get_asgi_application()

if "SITE_WARM" in os.environ:
    # Like a server that loads the application before it forks its workers.
    moorage_django.hub().payments().charge(_charge("first"), idempotency_key="first")

if __name__ == "__main__":
    import sys

    execute_from_command_line(sys.argv)
