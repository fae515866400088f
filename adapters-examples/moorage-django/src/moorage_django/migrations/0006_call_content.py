from django.db import migrations

import moorage_django.fields


class Migration(migrations.Migration):
    dependencies = [("moorage_django", "0005_call_details")]

    operations = [
        migrations.AddField("call", name, moorage_django.fields.LongTextField(null=True))
        for name in ("request", "response")
    ]
