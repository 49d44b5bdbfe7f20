"""Wires the product together and delivers it: settings, adapters, doors, command line."""
