"""The pages: each is made from data that was read before, and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.dashboard.pages.calls import call_page, calls_page
from moorage.dashboard.pages.entries import dead_page, entry_page, queues_page
from moorage.dashboard.pages.levels import levels_page
from moorage.dashboard.pages.payments import payment_page, unknown_page
from moorage.dashboard.pages.services import now_page, service_page
from moorage.dashboard.pages.view import Page, PageContext

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["PAGES", "Page", "PageContext"]

PAGES: Final[Mapping[str, Callable[[PageContext], Page]]] = {
    "/": now_page,
    "/service": service_page,
    "/calls": calls_page,
    "/call": call_page,
    "/levels": levels_page,
    "/queues": queues_page,
    "/dead": dead_page,
    "/entry": entry_page,
    "/unknown": unknown_page,
    "/payment": payment_page,
}
"""Every page, by its path."""
