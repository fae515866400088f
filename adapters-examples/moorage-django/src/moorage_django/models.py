"""The database tables; the module of each adapter names the tables that it uses."""

from __future__ import annotations

from django.db import models

from moorage_django.fields import LongTextField, MomentField, WordField


class State(models.Model):
    """The state of a circuit, limit, retry budget or idempotency key."""

    id = WordField(primary_key=True, max_length=64, help_text="SHA-256 of the key")
    key = WordField(max_length=1000, help_text="for people")
    state = models.BinaryField(null=True)
    expires = models.BigIntegerField(db_index=True, help_text="microseconds since 1970")

    class Meta:
        """The table has a fixed name, independent of the app's label."""

        db_table = "moorage_state"

    def __str__(self) -> str:
        return self.key


class Credential(models.Model):
    """A credential, encrypted for its service and tenant."""

    id = WordField(primary_key=True, max_length=64, help_text="SHA-256 of about")
    service = WordField(max_length=500)
    tenant = WordField(max_length=500, null=True)
    about = models.BinaryField()
    sealed = models.BinaryField()

    class Meta:
        """The table has a fixed name, independent of the app's label."""

        db_table = "moorage_credential"

    def __str__(self) -> str:
        return self.service if self.tenant is None else f"{self.service} of {self.tenant}"


class Call(models.Model):
    """An entry of the integration log."""

    number = models.BigAutoField(primary_key=True)
    call = WordField("id of the call", max_length=200, db_index=True)
    service = WordField(max_length=200)
    operation = WordField(max_length=200, null=True)
    tenant = WordField(max_length=200, null=True, db_index=True)
    subject = WordField(max_length=200, null=True, db_index=True)
    status = WordField(max_length=20)
    started_at = MomentField(db_index=True)
    duration = models.FloatField()
    attempts = models.IntegerField()
    error = WordField(max_length=200, null=True)
    http_status = models.IntegerField(null=True)
    vendor_code = WordField(max_length=200, null=True)
    idempotency_key = WordField(max_length=500, null=True)
    region = WordField(max_length=200, null=True)
    vendor = WordField(max_length=200, null=True)
    account = WordField(max_length=200, null=True)
    trace_id = WordField(max_length=200, null=True, db_index=True)
    method = WordField(max_length=200, null=True)
    route = WordField(max_length=200, null=True)
    error_message = WordField(max_length=510, null=True)
    request = LongTextField(null=True)
    response = LongTextField(null=True)

    class Meta:
        """The table has a fixed name, independent of the app's label."""

        db_table = "moorage_call"
        verbose_name = "call"
        indexes = [
            models.Index(fields=["service", "started_at"], name="moorage_call_service"),
            *(
                models.Index(fields=[*fields, "started_at", "number"], name=f"moorage_call_{name}")
                for name, fields in (
                    ("time", ()),
                    ("tenant", ("tenant",)),
                    ("status", ("status",)),
                    ("operation", ("operation",)),
                    ("vendor", ("vendor",)),
                    ("key", ("idempotency_key",)),
                )
            ),
        ]

    def __str__(self) -> str:
        operation = "" if self.operation is None else self.operation
        return f"{self.service} {operation} {self.status}"


class Entry(models.Model):
    """The columns common to inbox and outbox; see `moorage.domain.entries.queue`."""

    number = models.BigAutoField(primary_key=True)
    id = WordField(max_length=64, unique=True)
    target = WordField(max_length=255)
    operation = WordField(max_length=255)
    tenant = WordField(max_length=255, null=True)
    subject = WordField(max_length=255, null=True, db_index=True)
    lane = WordField(max_length=255, null=True)
    added_at = MomentField(db_index=True)
    content = models.BinaryField()
    state = WordField(max_length=10)
    due = MomentField(null=True, db_index=True)
    holds = models.BooleanField()
    priority = models.IntegerField(default=0)
    fence = models.BigIntegerField()
    attempts = models.IntegerField()
    turn = models.IntegerField()
    error = WordField(max_length=500, blank=True)
    settled_at = MomentField(null=True)
    traceparent = WordField(max_length=255, null=True)
    tracestate = WordField(max_length=512, null=True)
    predecessors = WordField(max_length=1_100, null=True)

    class Meta:
        """The model is abstract, so that it has no table of its own."""

        abstract = True

    def __str__(self) -> str:
        return f"{self.target} {self.operation} {self.state}"


class Webhook(Entry):
    """A verified and stored webhook."""

    class Meta:
        """The table has a fixed name, independent of the app's label."""

        db_table = "moorage_inbox"
        verbose_name = "webhook"
        verbose_name_plural = "inbox"
        indexes = [
            models.Index(fields=["lane", "number"], name="moorage_inbox_lane"),
            models.Index(fields=["state", "number"], name="moorage_inbox_state"),
        ]


class Deferred(Entry):
    """A vendor call that is made after its transaction commits."""

    class Meta:
        """The table has a fixed name, independent of the app's label."""

        db_table = "moorage_outbox"
        verbose_name = "deferred call"
        verbose_name_plural = "outbox"
        indexes = [
            models.Index(fields=["lane", "number"], name="moorage_outbox_lane"),
            models.Index(fields=["state", "number"], name="moorage_outbox_state"),
        ]


class Lane(models.Model):
    """A row that a transaction locks before it adds to an ordered group, so that others wait."""

    number = models.BigIntegerField(primary_key=True)

    class Meta:
        """The table has a fixed name, independent of the app's label."""

        db_table = "moorage_lane"

    def __str__(self) -> str:
        return str(self.number)


class Tenant(models.Model):
    """A tenant's encrypted tables."""

    id = WordField(primary_key=True, max_length=64, help_text="SHA-256 of the name")
    name = WordField(max_length=255)
    sealed = models.BinaryField()

    class Meta:
        """The table has a fixed name, independent of the app's label."""

        db_table = "moorage_tenant"

    def __str__(self) -> str:
        return self.name
