"""The admin pages of the integration log, the inbox and the outbox."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.shortcuts import redirect

from moorage import ConnectorError
from moorage.config.tenants import read_tenant
from moorage_django import stores
from moorage_django.admin_acts import decide
from moorage_django.log import NEWEST_FIRST
from moorage_django.models import Call, Deferred, Tenant, Webhook
from moorage_django.runtime import process
from moorage_django.settings import project_settings
from moorage_django.tenants import OrmTenants, masked_tables, restore_masked

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse


class NulRefusingAdmin(admin.ModelAdmin):
    """An admin page that refuses URLs with the character NUL.

    PostgreSQL cannot compare a text with this character, and would answer with an error.
    """

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Return whether a page's URL may use this filter; Django 4.2 passes no request."""
        optional = () if request is None else (request,)
        return "\0" not in value and super().lookup_allowed(lookup, value, *optional)

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        """Return the row with this id; None if no row has this id."""
        return None if "\0" in object_id else super().get_object(request, object_id, from_field)


class ReadOnly(NulRefusingAdmin):
    """An admin page whose rows people can only read, because vendor calls write them."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False, because rows cannot be added by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False, because rows cannot be changed by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False, because commands delete or erase rows."""
        return False


@admin.register(Call)
class CallAdmin(ReadOnly):
    """The admin page of the integration log; its actions are on the operations page."""

    list_display = ("started_at", "service", "operation", "tenant", "status", "duration", "error")
    list_filter = ("status", "service", "vendor")
    search_fields = ("call", "idempotency_key", "subject", "trace_id", "error_message")
    ordering = NEWEST_FIRST

    def get_queryset(self, request: HttpRequest) -> QuerySet[Call]:
        """Return the entries, including those that are still queued for writing."""
        process.flush()
        return super().get_queryset(request).using(project_settings().database)


class EntryAdmin(ReadOnly):
    """An admin page of inbox or outbox entries without content; people retry or cancel them."""

    list_display = (
        "number",
        "added_at",
        "target",
        "operation",
        "tenant",
        "state",
        "due",
        "error",
    )
    list_filter = ("state", "target")
    search_fields = ("id", "subject")
    exclude = ("content",)
    actions = ("replay", "drop")
    box: ClassVar[staticmethod[[], Any]]
    """Returns the inbox or outbox of the entries, which has `replay` and `drop`."""

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Return whether a person may retry or cancel entries."""
        meta = self.opts
        return request.user.has_perm(f"{meta.app_label}.change_{meta.model_name}")

    def _audited(self) -> Any:
        """Return the inbox or outbox with an audit trail of people's actions."""
        return self.box()

    @admin.action(description="Do again", permissions=["decide"])
    def replay(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Process the selected entries again, with as many attempts as new entries have."""
        return decide(
            self,
            request,
            queryset,
            action="replay",
            act="do again",
            effect="put back to be done again",
            change=_recording_change(request, self._audited().replay),
        )

    @admin.action(description="Call off", permissions=["decide"])
    def drop(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Cancel the selected entries."""
        return decide(
            self,
            request,
            queryset,
            action="drop",
            act="call off",
            effect="called off",
            change=_recording_change(request, self._audited().drop),
        )


@admin.register(Webhook)
class WebhookAdmin(EntryAdmin):
    """The admin page of the inbox."""

    box = staticmethod(process.inbox)


@admin.register(Deferred)
class DeferredAdmin(EntryAdmin):
    """The admin page of the outbox."""

    box = staticmethod(process.outbox)

    def _audited(self) -> Any:
        return process.outbox().with_audit(process.hub().audit)


def _recording_change(request: HttpRequest, change: Callable[..., Any]) -> Callable[[str], Any]:
    """Change an entry, and record the change with the person's name."""
    return partial(change, actor=request.user.get_username(), reason="by an action of the admin")


class TenantForm(forms.ModelForm):
    """A form for a tenant's configuration tables as JSON.

    The form masks secrets, and a masked secret that the user does not change stays stored.
    """

    tables = forms.JSONField(widget=forms.Textarea(attrs={"rows": 24, "cols": 80}))

    class Meta:
        """The fields of the form."""

        model = Tenant
        fields = ("name",)

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._stored = _tenants().tables(self.instance.name) if self.instance.pk else {}
        self.fields["name"].disabled = bool(self.instance.pk)
        self.initial.setdefault("tables", masked_tables(self._stored))

    def clean_name(self) -> str:
        """Return the tenant's name; refuse a name that another tenant has."""
        name: str = self.cleaned_data["name"]
        if not self.instance.pk and Tenant.objects.filter(name=name).exists():
            raise forms.ValidationError(
                "A tenant with this name already exists. Change that tenant instead."
            )
        return name

    def clean_tables(self) -> Any:
        """Return the entered tables with masked values restored, if moorage accepts them."""
        name = self.cleaned_data.get("name", self.instance.name)
        try:
            _tenants()
            tables = restore_masked(self.cleaned_data["tables"], self._stored)
            read_tenant(name, tables, stores.configured_parts(project_settings()).accounts)
        except ConnectorError as error:
            raise forms.ValidationError(str(error)) from None
        return tables


@admin.register(Tenant)
class TenantAdmin(NulRefusingAdmin):
    """The admin page of tenants' accounts."""

    form = TenantForm
    list_display = ("name",)
    search_fields = ("name",)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **named: Any) -> Any:
        """Show the form; if the row cannot be decrypted, show the list with the error."""
        try:
            return super().change_view(request, object_id, *args, **named)
        except ConnectorError as error:
            message = f"{error} Or delete this tenant here, and add it again."
            self.message_user(request, message, messages.ERROR)
            return redirect("admin:moorage_django_tenant_changelist")

    def save_model(self, request: HttpRequest, obj: Tenant, form: Any, change: bool) -> None:
        """Encrypt and store the form's tables."""
        _tenants().put(obj.name, form.cleaned_data["tables"])
        obj.pk = Tenant.objects.get(name=obj.name).pk


def _tenants() -> OrmTenants:
    return OrmTenants(stores.require_cipher(stores.cipher_of(project_settings())))
