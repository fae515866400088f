from django.db import migrations, models

import moorage_django.fields


class Migration(migrations.Migration):
    initial = True

    dependencies: list[tuple[str, str]] = []

    operations = [
        migrations.CreateModel(
            name="Credential",
            fields=[
                (
                    "id",
                    moorage_django.fields.WordField(
                        help_text="SHA-256 of about",
                        max_length=64,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("service", moorage_django.fields.WordField(max_length=500)),
                ("tenant", moorage_django.fields.WordField(max_length=500, null=True)),
                ("about", models.BinaryField()),
                ("sealed", models.BinaryField()),
            ],
            options={
                "db_table": "moorage_credential",
            },
        ),
        migrations.CreateModel(
            name="State",
            fields=[
                (
                    "id",
                    moorage_django.fields.WordField(
                        help_text="SHA-256 of the key",
                        max_length=64,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("key", moorage_django.fields.WordField(help_text="for people", max_length=1000)),
                ("state", models.BinaryField(null=True)),
                (
                    "expires",
                    models.BigIntegerField(db_index=True, help_text="microseconds since 1970"),
                ),
            ],
            options={
                "db_table": "moorage_state",
            },
        ),
        migrations.CreateModel(
            name="Tenant",
            fields=[
                (
                    "id",
                    moorage_django.fields.WordField(
                        help_text="SHA-256 of the name",
                        max_length=64,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("name", moorage_django.fields.WordField(max_length=255)),
                ("sealed", models.BinaryField()),
            ],
            options={
                "db_table": "moorage_tenant",
            },
        ),
        migrations.CreateModel(
            name="Call",
            fields=[
                ("number", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "call",
                    moorage_django.fields.WordField(
                        db_index=True, max_length=200, verbose_name="id of the call"
                    ),
                ),
                ("service", moorage_django.fields.WordField(max_length=200)),
                ("operation", moorage_django.fields.WordField(max_length=200, null=True)),
                (
                    "tenant",
                    moorage_django.fields.WordField(db_index=True, max_length=200, null=True),
                ),
                (
                    "subject",
                    moorage_django.fields.WordField(db_index=True, max_length=200, null=True),
                ),
                ("status", moorage_django.fields.WordField(max_length=20)),
                ("started_at", moorage_django.fields.MomentField(db_index=True)),
                ("duration", models.FloatField()),
                ("attempts", models.IntegerField()),
                ("error", moorage_django.fields.WordField(max_length=200, null=True)),
                ("http_status", models.IntegerField(null=True)),
                ("vendor_code", moorage_django.fields.WordField(max_length=200, null=True)),
                ("idempotency_key", moorage_django.fields.WordField(max_length=500, null=True)),
                ("region", moorage_django.fields.WordField(max_length=200, null=True)),
            ],
            options={
                "verbose_name": "call",
                "db_table": "moorage_call",
                "indexes": [
                    models.Index(fields=["service", "started_at"], name="moorage_call_service")
                ],
            },
        ),
        migrations.CreateModel(
            name="Deferred",
            fields=[
                ("number", models.BigAutoField(primary_key=True, serialize=False)),
                ("id", moorage_django.fields.WordField(max_length=64, unique=True)),
                ("target", moorage_django.fields.WordField(max_length=255)),
                ("operation", moorage_django.fields.WordField(max_length=255)),
                ("tenant", moorage_django.fields.WordField(max_length=255, null=True)),
                (
                    "subject",
                    moorage_django.fields.WordField(db_index=True, max_length=255, null=True),
                ),
                ("lane", moorage_django.fields.WordField(max_length=255, null=True)),
                ("added_at", moorage_django.fields.MomentField(db_index=True)),
                ("content", models.BinaryField()),
                ("state", moorage_django.fields.WordField(max_length=10)),
                ("due", moorage_django.fields.MomentField(db_index=True, null=True)),
                ("holds", models.BooleanField()),
                ("fence", models.BigIntegerField()),
                ("attempts", models.IntegerField()),
                ("turn", models.IntegerField()),
                ("error", moorage_django.fields.WordField(blank=True, max_length=500)),
                ("settled_at", moorage_django.fields.MomentField(null=True)),
            ],
            options={
                "verbose_name": "deferred call",
                "verbose_name_plural": "outbox",
                "db_table": "moorage_outbox",
                "indexes": [models.Index(fields=["lane", "number"], name="moorage_outbox_lane")],
            },
        ),
        migrations.CreateModel(
            name="Webhook",
            fields=[
                ("number", models.BigAutoField(primary_key=True, serialize=False)),
                ("id", moorage_django.fields.WordField(max_length=64, unique=True)),
                ("target", moorage_django.fields.WordField(max_length=255)),
                ("operation", moorage_django.fields.WordField(max_length=255)),
                ("tenant", moorage_django.fields.WordField(max_length=255, null=True)),
                (
                    "subject",
                    moorage_django.fields.WordField(db_index=True, max_length=255, null=True),
                ),
                ("lane", moorage_django.fields.WordField(max_length=255, null=True)),
                ("added_at", moorage_django.fields.MomentField(db_index=True)),
                ("content", models.BinaryField()),
                ("state", moorage_django.fields.WordField(max_length=10)),
                ("due", moorage_django.fields.MomentField(db_index=True, null=True)),
                ("holds", models.BooleanField()),
                ("fence", models.BigIntegerField()),
                ("attempts", models.IntegerField()),
                ("turn", models.IntegerField()),
                ("error", moorage_django.fields.WordField(blank=True, max_length=500)),
                ("settled_at", moorage_django.fields.MomentField(null=True)),
            ],
            options={
                "verbose_name": "webhook",
                "verbose_name_plural": "inbox",
                "db_table": "moorage_inbox",
                "indexes": [models.Index(fields=["lane", "number"], name="moorage_inbox_lane")],
            },
        ),
    ]
