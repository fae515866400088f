from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("moorage_django", "0006_call_content")]

    operations = [
        migrations.AddIndex(model, models.Index(fields=["state", "number"], name=name))
        for model, name in (
            ("webhook", "moorage_inbox_state"),
            ("deferred", "moorage_outbox_state"),
        )
    ]
