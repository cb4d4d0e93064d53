"""The table of the outbox."""

from typing import ClassVar

from django.db import models

from corvo_client._outbox import MOST_ERROR


class OutboxRow(models.Model):
    """A job that is to be sent. With an `error`, one that the server will never take."""

    seq = models.BigAutoField(primary_key=True)
    job_id = models.CharField(max_length=40, unique=True)
    body = models.TextField()
    error = models.CharField(max_length=MOST_ERROR, null=True, default=None)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """What Django wants to know."""

        db_table = "corvo_outbox"
        ordering: ClassVar[list[str]] = ["seq"]

    def __str__(self) -> str:
        return str(self.job_id)
