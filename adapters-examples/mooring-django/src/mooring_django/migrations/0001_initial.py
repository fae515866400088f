from django.db import migrations, models

import mooring_django.fields


class Migration(migrations.Migration):
    initial = True

    dependencies: list[tuple[str, str]] = []

    operations = [
        migrations.CreateModel(
            name="Credential",
            fields=[
                (
                    "id",
                    mooring_django.fields.WordField(
                        help_text="SHA-256 of about",
                        max_length=64,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("service", mooring_django.fields.WordField(max_length=500)),
                ("tenant", mooring_django.fields.WordField(max_length=500, null=True)),
                ("about", models.BinaryField()),
                ("sealed", models.BinaryField()),
            ],
            options={
                "db_table": "mooring_credential",
            },
        ),
        migrations.CreateModel(
            name="State",
            fields=[
                (
                    "id",
                    mooring_django.fields.WordField(
                        help_text="SHA-256 of the key",
                        max_length=64,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("key", mooring_django.fields.WordField(help_text="for people", max_length=1000)),
                ("state", models.BinaryField(null=True)),
                (
                    "expires",
                    models.BigIntegerField(db_index=True, help_text="microseconds since 1970"),
                ),
            ],
            options={
                "db_table": "mooring_state",
            },
        ),
        migrations.CreateModel(
            name="Tenant",
            fields=[
                (
                    "id",
                    mooring_django.fields.WordField(
                        help_text="SHA-256 of the name",
                        max_length=64,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("name", mooring_django.fields.WordField(max_length=255)),
                ("sealed", models.BinaryField()),
            ],
            options={
                "db_table": "mooring_tenant",
            },
        ),
        migrations.CreateModel(
            name="Call",
            fields=[
                ("number", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "call",
                    mooring_django.fields.WordField(
                        db_index=True, max_length=200, verbose_name="id of the call"
                    ),
                ),
                ("service", mooring_django.fields.WordField(max_length=200)),
                ("operation", mooring_django.fields.WordField(max_length=200, null=True)),
                (
                    "tenant",
                    mooring_django.fields.WordField(db_index=True, max_length=200, null=True),
                ),
                (
                    "subject",
                    mooring_django.fields.WordField(db_index=True, max_length=200, null=True),
                ),
                ("status", mooring_django.fields.WordField(max_length=20)),
                ("started_at", mooring_django.fields.MomentField(db_index=True)),
                ("duration", models.FloatField()),
                ("attempts", models.IntegerField()),
                ("error", mooring_django.fields.WordField(max_length=200, null=True)),
                ("http_status", models.IntegerField(null=True)),
                ("vendor_code", mooring_django.fields.WordField(max_length=200, null=True)),
                ("idempotency_key", mooring_django.fields.WordField(max_length=500, null=True)),
                ("region", mooring_django.fields.WordField(max_length=200, null=True)),
            ],
            options={
                "verbose_name": "call",
                "db_table": "mooring_call",
                "indexes": [
                    models.Index(fields=["service", "started_at"], name="mooring_call_service")
                ],
            },
        ),
        migrations.CreateModel(
            name="Deferred",
            fields=[
                ("number", models.BigAutoField(primary_key=True, serialize=False)),
                ("id", mooring_django.fields.WordField(max_length=64, unique=True)),
                ("target", mooring_django.fields.WordField(max_length=255)),
                ("operation", mooring_django.fields.WordField(max_length=255)),
                ("tenant", mooring_django.fields.WordField(max_length=255, null=True)),
                (
                    "subject",
                    mooring_django.fields.WordField(db_index=True, max_length=255, null=True),
                ),
                ("lane", mooring_django.fields.WordField(max_length=255, null=True)),
                ("added_at", mooring_django.fields.MomentField(db_index=True)),
                ("content", models.BinaryField()),
                ("state", mooring_django.fields.WordField(max_length=10)),
                ("due", mooring_django.fields.MomentField(db_index=True, null=True)),
                ("holds", models.BooleanField()),
                ("fence", models.BigIntegerField()),
                ("attempts", models.IntegerField()),
                ("turn", models.IntegerField()),
                ("error", mooring_django.fields.WordField(blank=True, max_length=500)),
                ("settled_at", mooring_django.fields.MomentField(null=True)),
            ],
            options={
                "verbose_name": "deferred call",
                "verbose_name_plural": "outbox",
                "db_table": "mooring_outbox",
                "indexes": [models.Index(fields=["lane", "number"], name="mooring_outbox_lane")],
            },
        ),
        migrations.CreateModel(
            name="Webhook",
            fields=[
                ("number", models.BigAutoField(primary_key=True, serialize=False)),
                ("id", mooring_django.fields.WordField(max_length=64, unique=True)),
                ("target", mooring_django.fields.WordField(max_length=255)),
                ("operation", mooring_django.fields.WordField(max_length=255)),
                ("tenant", mooring_django.fields.WordField(max_length=255, null=True)),
                (
                    "subject",
                    mooring_django.fields.WordField(db_index=True, max_length=255, null=True),
                ),
                ("lane", mooring_django.fields.WordField(max_length=255, null=True)),
                ("added_at", mooring_django.fields.MomentField(db_index=True)),
                ("content", models.BinaryField()),
                ("state", mooring_django.fields.WordField(max_length=10)),
                ("due", mooring_django.fields.MomentField(db_index=True, null=True)),
                ("holds", models.BooleanField()),
                ("fence", models.BigIntegerField()),
                ("attempts", models.IntegerField()),
                ("turn", models.IntegerField()),
                ("error", mooring_django.fields.WordField(blank=True, max_length=500)),
                ("settled_at", mooring_django.fields.MomentField(null=True)),
            ],
            options={
                "verbose_name": "webhook",
                "verbose_name_plural": "inbox",
                "db_table": "mooring_inbox",
                "indexes": [models.Index(fields=["lane", "number"], name="mooring_inbox_lane")],
            },
        ),
    ]
