"""The webhook URLs for vendors: `path("moorage/", include("moorage_django.urls"))`."""

from __future__ import annotations

from django.urls import path

from moorage_django.views import receive

app_name = "moorage_django"

urlpatterns = [path("webhooks/<str:account>/", receive, name="webhook")]
