"""One module for each command or group of like ones; `corvo_cli.catalog` says which is where."""
