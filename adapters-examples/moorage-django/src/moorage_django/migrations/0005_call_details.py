from django.db import migrations, models

import moorage_django.fields


class Migration(migrations.Migration):
    dependencies = [("moorage_django", "0004_trace")]

    operations = [
        *(
            migrations.AddField(
                "call", name, moorage_django.fields.WordField(max_length=length, null=True)
            )
            for name, length in (
                ("vendor", 200),
                ("account", 200),
                ("method", 200),
                ("route", 200),
                ("error_message", 510),
            )
        ),
        migrations.AddField(
            "call",
            "trace_id",
            moorage_django.fields.WordField(db_index=True, max_length=200, null=True),
        ),
        *(
            migrations.AddIndex(
                "call",
                models.Index(fields=[*fields, "started_at", "number"], name=f"moorage_call_{name}"),
            )
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
