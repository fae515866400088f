"""The URL patterns of the tests' project."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("moorage/", include("moorage_django.urls")),
    path("health/", include("moorage_django.health")),
    path("operations/", include("moorage_django.dashboard")),
    path("admin/", admin.site.urls),
]
