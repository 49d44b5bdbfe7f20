"""Profiles of behavior that were deleted stay for the runs that followed them."""

from tortoise.migrations import Migration
from tortoise.migrations.operations import RunSQL

UP = [
    "ALTER TABLE behavior_profile ADD COLUMN deleted_at BIGINT",
    "ALTER TABLE behavior_profile ADD COLUMN deleted_name TEXT",
]
DOWN = [
    "ALTER TABLE behavior_profile DROP COLUMN deleted_name",
    "ALTER TABLE behavior_profile DROP COLUMN deleted_at",
]


class Migration(Migration):
    dependencies = [("gob", "0009_control")]
    operations = [RunSQL(UP, reverse_sql=DOWN)]
