"""Measures the product against a bare endpoint: `make bench`."""
