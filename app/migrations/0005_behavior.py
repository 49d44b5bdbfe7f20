"""Behavior profiles and their versions."""

from tortoise.migrations import Migration


class Migration(Migration):
    dependencies = [("gob", "0004_memory")]
    operations = []
