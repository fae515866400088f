from django.db import migrations

import moorage_django.fields


class Migration(migrations.Migration):
    dependencies = [("moorage_django", "0007_pauses")]

    operations = [
        migrations.AddField(
            model, "predecessors", moorage_django.fields.WordField(max_length=1_100, null=True)
        )
        for model in ("deferred", "webhook")
    ]
