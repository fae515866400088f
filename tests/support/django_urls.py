"""The empty URL configuration of the tests' Django project."""

from __future__ import annotations

from typing import Any

urlpatterns: list[Any] = []
