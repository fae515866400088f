"""Liveness and readiness URLs: `path("health/", include("moorage_django.health"))`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.http import HttpResponse
from django.urls import path

from moorage.domain.monitoring.health_pages import health_answer
from moorage_django.runtime import process

if TYPE_CHECKING:
    from django.http import HttpRequest

app_name = "moorage_health"


@transaction.non_atomic_requests
def health(request: HttpRequest, page: str = "") -> HttpResponse:
    """Respond whether this process is alive or ready for requests, with reasons."""
    answer = health_answer(request.method or "", page, lambda: process.health().recent())
    return HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))


urlpatterns = [path("", health, name="health"), path("<str:page>", health, name="page")]
