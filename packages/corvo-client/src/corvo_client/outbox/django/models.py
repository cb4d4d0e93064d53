"""Model of the outbox table."""

from typing import ClassVar

from django.db import models

from corvo_client._outbox import MAX_ERROR_CHARS


class OutboxRow(models.Model):
    """A job that is to be sent. A row with an `error` was rejected and is not sent again."""

    seq = models.BigAutoField(primary_key=True)
    job_id = models.CharField(max_length=40, unique=True)
    body = models.TextField()
    error = models.CharField(max_length=MAX_ERROR_CHARS, null=True, default=None)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Table name and order."""

        db_table = "corvo_outbox"
        ordering: ClassVar[list[str]] = ["seq"]

    def __str__(self) -> str:
        return str(self.job_id)
