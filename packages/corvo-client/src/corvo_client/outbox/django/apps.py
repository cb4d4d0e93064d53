"""The app, as Django finds it."""

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """The outbox of Corvo."""

    name = "corvo_client.outbox.django"
    label = "corvo_outbox"
    verbose_name = "Corvo outbox"
