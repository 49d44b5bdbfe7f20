"""Tests: behaviour held against the real thing."""
