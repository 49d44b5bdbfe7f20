"""How often the schedule of a task may start it, and how often it has."""

from tortoise.migrations import Migration
from tortoise.migrations.operations import RunSQL

UP = [
    "ALTER TABLE task ADD COLUMN max_runs INTEGER",
    "ALTER TABLE task ADD COLUMN started_runs INTEGER NOT NULL DEFAULT 0",
]
DOWN = [
    "ALTER TABLE task DROP COLUMN started_runs",
    "ALTER TABLE task DROP COLUMN max_runs",
]


class Migration(Migration):
    dependencies = [("gob", "0011_limit_marks")]
    operations = [RunSQL(UP, reverse_sql=DOWN)]
