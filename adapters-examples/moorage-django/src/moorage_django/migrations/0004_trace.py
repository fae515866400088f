from django.db import migrations

import moorage_django.fields


class Migration(migrations.Migration):
    dependencies = [("moorage_django", "0003_priority")]

    operations = [
        migrations.AddField(
            model, name, moorage_django.fields.WordField(max_length=length, null=True)
        )
        for model in ("deferred", "webhook")
        for name, length in (("traceparent", 255), ("tracestate", 512))
    ]
