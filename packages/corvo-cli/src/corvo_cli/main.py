"""`corvo`, also as `python -m corvo_cli`."""

from corvo_cli.root import corvo


def main() -> None:
    """Run the command line."""
    corvo(prog_name="corvo")
