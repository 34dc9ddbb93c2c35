"""The command line of persona-store: `python3 -m scripts --help`."""
