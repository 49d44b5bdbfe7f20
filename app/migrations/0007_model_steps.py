"""What a model call left besides its answer: notices for people, and what its provider wants back."""

from tortoise.migrations import Migration
from tortoise.migrations.operations import RunSQL

UP = [
    "ALTER TABLE run_step ADD COLUMN notices TEXT",
    "ALTER TABLE run_step ADD COLUMN provider_state TEXT",
]

DOWN = [
    "ALTER TABLE run_step DROP COLUMN provider_state",
    "ALTER TABLE run_step DROP COLUMN notices",
]


class Migration(Migration):
    dependencies = [("gob", "0006_tasks")]
    operations = [RunSQL(UP, reverse_sql=DOWN)]
