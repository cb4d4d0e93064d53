"""Configuration of the Django app."""

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """Configuration of the outbox app."""

    name = "corvo_client.outbox.django"
    label = "corvo_outbox"
    verbose_name = "Corvo outbox"
