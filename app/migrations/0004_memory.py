"""Memories, their history and what search reads."""

from tortoise.migrations import Migration


class Migration(Migration):
    dependencies = [("gob", "0003_audit")]
    operations = []
