"""The admin's actions: each action asks for confirmation and reports its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.contrib import messages
from django.template.response import TemplateResponse

from moorage import ConnectorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

_SHOWN: Final = 20
"""The maximum number of entries that the confirmation page names."""


def decide(
    admin: Any,
    request: HttpRequest,
    queryset: QuerySet[Any],
    *,
    action: str,
    act: str,
    effect: str,
    change: Callable[[str], object],
) -> HttpResponse | None:
    """Ask for confirmation of a change of entries, make it, and report the number of entries.

    Args:
        admin: the admin of the entries.
        request: the request, with the selected entries.
        queryset: the entries.
        action: the name of the action.
        act: the text of the confirming button, after "Yes, ".
        effect: the text of the result, after the number of entries.
        change: changes the entry with an id.
    """
    count = queryset.count()
    if "confirmed" not in request.POST:
        context = {
            **admin.admin_site.each_context(request),
            "title": "Are you sure?",
            "question": f"{_entries(count)} will be {effect}.",
            "objects": queryset[:_SHOWN],
            "more": max(0, count - _SHOWN),
            "selected": request.POST.getlist("_selected_action"),
            "across": request.POST.get("select_across", "0"),
            "action": action,
            "act": act,
            "opts": admin.opts,
        }
        return TemplateResponse(request, "moorage_django/confirm_action.html", context)
    changed_entries = 0
    for id_ in queryset.values_list("id", flat=True):
        try:
            change(id_)
        except ConnectorError as error:
            admin.message_user(request, str(error), messages.ERROR)
        else:
            changed_entries += 1
    if changed_entries:
        admin.message_user(request, f"{_entries(changed_entries)} {effect}.", messages.SUCCESS)
    return None


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"
