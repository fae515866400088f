"""Where the project of the tests leads."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("moorage/", include("moorage_django.urls")),
    path("admin/", admin.site.urls),
]
