"""Tasks and their occurrences."""

from tortoise.migrations import Migration


class Migration(Migration):
    dependencies = [("gob", "0005_behavior")]
    operations = []
