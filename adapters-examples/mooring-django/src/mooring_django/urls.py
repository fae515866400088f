"""`path("mooring/", include("mooring_django.urls"))` leads vendors to their webhooks."""

from __future__ import annotations

from django.urls import path

from mooring_django.views import receive

app_name = "mooring_django"

urlpatterns = [path("webhooks/<str:account>/", receive, name="webhook")]
