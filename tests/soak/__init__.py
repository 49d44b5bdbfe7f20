"""Fault and property tests at full size; run by `make soak`."""
