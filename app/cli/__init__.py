"""The command line, `python -m app` and `gob`."""
