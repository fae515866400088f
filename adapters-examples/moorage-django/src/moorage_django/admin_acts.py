"""The actions of the admin besides reading: each asks for confirmation and reports its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path

from moorage import ConnectorError
from moorage_django.runtime import process

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

_SHOWN: Final = 20
"""So many entries are named before a person decides about all."""


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
    """Ask for confirmation of a change of entries, make it, and report the number.

    Args:
        admin: the admin of the entries.
        request: the request, with what was selected.
        queryset: the entries.
        action: the name of the action.
        act: what is to be done, after "Yes, ".
        effect: what has become of the entries then, after their number.
        change: changes the entry of an id.
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
    changed = 0
    for id_ in queryset.values_list("id", flat=True):
        try:
            change(id_)
        except ConnectorError as error:
            admin.message_user(request, str(error), messages.ERROR)
        else:
            changed += 1
    if changed:
        admin.message_user(request, f"{_entries(changed)} {effect}.", messages.SUCCESS)
    return None


class LimitsForm(forms.Form):
    """The form that selects whose limits are shown."""

    service = forms.CharField()
    tenant = forms.CharField(required=False, help_text="If each tenant has limits of its own.")
    endpoint = forms.CharField(required=False, help_text="To end its pause besides the service's.")


class LimitsPage:
    """A page to end the pause of a service's limits, linked from the list of calls."""

    change_list_template = "moorage_django/call_list.html"
    admin_site: Any
    opts: Any
    message_user: Any

    def get_urls(self) -> list[Any]:
        """The URLs of the list, and of this page."""
        page = self.admin_site.admin_view(self.limits)
        found: list[Any] = super().get_urls()  # type: ignore[misc]  # mixed into a ModelAdmin
        return [path("limits/", page, name="moorage_django_limits"), *found]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """The list, with a link for those who may act."""
        extra = {**(extra_context or {}), "may_reset_limits": self._may(request)}
        return super().changelist_view(request, extra)  # type: ignore[misc]  # mixed into a ModelAdmin

    def limits(self, request: HttpRequest) -> HttpResponse:
        """Select a pause, ask for confirmation, and end the pause."""
        if not self._may(request):
            raise PermissionDenied
        form = LimitsForm(request.POST or None)
        form.fields["service"].help_text = f"One of: {', '.join(_services())}."
        confirming = form.is_valid()
        if confirming and "confirmed" in request.POST:
            if self._ended(request, form.cleaned_data):
                return redirect("admin:moorage_django_limits")
            confirming = False
        context = {
            **self.admin_site.each_context(request),
            "title": "End the pause of a limit",
            "form": form,
            "confirming": confirming,
            "whose": _whose(form.cleaned_data) if confirming else "",
            "opts": self.opts,
        }
        return TemplateResponse(request, "moorage_django/limits.html", context)

    def _ended(self, request: HttpRequest, wanted: dict[str, str]) -> bool:
        tenant, endpoint = wanted["tenant"] or None, wanted["endpoint"] or None
        try:
            if tenant is not None:
                process.hub().look_up(tenant)
            remaining = process.hub().manager.reset_limits(
                wanted["service"], tenant=tenant, endpoint=endpoint
            )
        except ConnectorError as error:
            self.message_user(request, str(error), messages.ERROR)
            return False
        whose = _whose(wanted)
        if remaining:
            told = f"Calls under the limits of {whose} go on: the pause had {remaining:.0f} s left."
            self.message_user(request, told, messages.SUCCESS)
        else:
            self.message_user(request, f"The limits of {whose} were not paused.", messages.WARNING)
        return True

    def _may(self, request: HttpRequest) -> bool:
        user: Any = request.user
        return bool(user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}"))


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"


def _services() -> list[str]:
    return sorted(process.hub().manager.flows.plans.services)


def _whose(wanted: dict[str, str]) -> str:
    """The service, tenant and endpoint that were entered."""
    parts = [wanted["service"]]
    if wanted["tenant"]:
        parts.append(f"for {wanted['tenant']}")
    if wanted["endpoint"]:
        parts.append(f"at {wanted['endpoint']}")
    return " ".join(parts)
