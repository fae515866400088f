"""The admin's page of payments whose outcome is not known, on which a person closes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path

from moorage import ConnectorError
from moorage_django.runtime import process

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


class CloseForm(forms.Form):
    """The form that closes a payment with the outcome found at the vendor."""

    key = forms.CharField(widget=forms.HiddenInput)
    tenant = forms.CharField(required=False, widget=forms.HiddenInput)
    outcome = forms.ChoiceField(choices=[("done", "It was done"), ("not done", "It was not done")])
    reference = forms.CharField(
        required=False, label="The vendor's id", help_text="Empty to look for it by your reference."
    )


class UnsettledPage:
    """A page that lists unknown payments and closes them, linked from the list of calls."""

    admin_site: Any
    opts: Any
    message_user: Any

    def get_urls(self) -> list[Any]:
        """The URLs of the list, and of this page."""
        page = self.admin_site.admin_view(self.unsettled)
        found: list[Any] = super().get_urls()  # type: ignore[misc]  # mixed into a ModelAdmin
        return [path("unsettled/", page, name="moorage_django_unsettled"), *found]

    def unsettled(self, request: HttpRequest) -> HttpResponse:
        """List the unsettled payments; close one after confirmation."""
        user: Any = request.user
        if not user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}"):
            raise PermissionDenied
        form = CloseForm(request.POST or None)
        confirming = form.is_valid()
        if confirming and "confirmed" in request.POST:
            self._close(request, form.cleaned_data)
            return redirect("admin:moorage_django_unsettled")
        context = {
            **self.admin_site.each_context(request),
            "title": "Payments whose outcome is not known",
            "payments": [(one, CloseForm(initial=_named(one))) for one in _found()],
            "form": form,
            "confirming": confirming,
            "opts": self.opts,
        }
        return TemplateResponse(request, "moorage_django/unsettled.html", context)

    def _close(self, request: HttpRequest, wanted: dict[str, str]) -> None:
        try:
            process.hub().close_payment(
                wanted["key"],
                done=wanted["outcome"] == "done",
                receipt=wanted["reference"] or None,
                tenant=wanted["tenant"] or None,
            )
        except ConnectorError as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            told = f"{wanted['key']} is closed as {wanted['outcome']}."
            self.message_user(request, told, messages.SUCCESS)


def _found() -> list[Any]:
    return list(process.hub().unsettled_payments())


def _named(one: Any) -> dict[str, str]:
    return {"key": one.idempotency_key, "tenant": one.tenant or ""}
