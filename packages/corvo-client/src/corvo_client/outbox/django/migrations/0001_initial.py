"""Create the outbox table."""

from typing import Any, ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """Creates the outbox table."""

    initial = True
    dependencies: ClassVar[list[tuple[str, str]]] = []
    operations: ClassVar[list[Any]] = [
        migrations.CreateModel(
            name="OutboxRow",
            fields=[
                ("seq", models.BigAutoField(primary_key=True, serialize=False)),
                ("job_id", models.CharField(max_length=40, unique=True)),
                ("body", models.TextField()),
                ("error", models.CharField(default=None, max_length=500, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={"db_table": "corvo_outbox", "ordering": ["seq"]},
        ),
    ]
