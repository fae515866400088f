from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("moorage_django", "0002_lane")]

    operations = [
        migrations.AddField(model, "priority", models.IntegerField(default=0))
        for model in ("deferred", "webhook")
    ]
