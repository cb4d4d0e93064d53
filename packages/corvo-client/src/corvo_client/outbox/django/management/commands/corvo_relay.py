"""`manage.py corvo_relay`: runs the relay of the outbox until it is stopped."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from corvo_client import Client
from corvo_client.outbox.django import relay
from corvo_client.worker._signals import stopping_on_signals


class Command(BaseCommand):
    """Runs a relay. Several relays may run at the same time."""

    help = "Send the jobs of the outbox to the Corvo server, until SIGTERM or SIGINT."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options of the command."""
        parser.add_argument("--database", help="database alias; default: the choice of the router")
        parser.add_argument("--server", help="URL of the server; default: CORVO_SERVER")
        parser.add_argument("--once", action="store_true", help="send all rows and exit")

    def handle(self, *_arguments: Any, **options: Any) -> None:
        """Run the relay."""
        with Client(options["server"]) as client:
            relaying = relay(client, using=options["database"])
            if options["once"]:
                while relaying.run_once():
                    pass
                return
            with stopping_on_signals(relaying.stop):
                relaying.run()
