"""One module for each command or group of commands. `corvo_cli.catalog` lists the locations."""
