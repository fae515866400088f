from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("moorage_django", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Lane",
            fields=[("number", models.BigIntegerField(primary_key=True, serialize=False))],
            options={"db_table": "moorage_lane"},
        ),
    ]
