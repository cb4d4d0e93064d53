"""`manage.py corvo_relay`: sends what the outbox has, until it is stopped."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from corvo_client import Client
from corvo_client.outbox.django import relay
from corvo_client.worker._signals import stopping_on_signals


class Command(BaseCommand):
    """Any number of them may run."""

    help = "Send the jobs of the outbox to the Corvo server, until SIGTERM or SIGINT."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Say which database and which server."""
        parser.add_argument("--database", help="the database; the default one when left out")
        parser.add_argument("--server", help="the server's URL; else CORVO_SERVER")
        parser.add_argument("--once", action="store_true", help="send what there is, and end")

    def handle(self, *_arguments: Any, **options: Any) -> None:
        """Relay."""
        with Client(options["server"]) as client:
            relaying = relay(client, using=options["database"])
            if options["once"]:
                while relaying.run_once():
                    pass
                return
            with stopping_on_signals(relaying.stop):
                relaying.run()
