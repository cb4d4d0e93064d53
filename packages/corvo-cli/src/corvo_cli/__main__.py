"""Run the `corvo` command as `python -m corvo_cli`."""

from corvo_cli.main import main

main()
