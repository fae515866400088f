"""Where the project of the tests leads."""

from __future__ import annotations

from typing import Any

urlpatterns: list[Any] = []
