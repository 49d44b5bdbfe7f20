"""How often the schedule of a task may start it, and how often it has; runs that are due in order."""

from tortoise.migrations import Migration
from tortoise.migrations.operations import RunSQL

UP = [
    "ALTER TABLE task ADD COLUMN max_runs INTEGER",
    "ALTER TABLE task ADD COLUMN started_runs INTEGER NOT NULL DEFAULT 0",
    # In the order in which workers take them: a burst of tasks makes thousands due at once.
    "DROP INDEX run_due",
    """
    CREATE INDEX run_due ON run (priority DESC, due_at, id)
    WHERE due_at IS NOT NULL AND lease_owner IS NULL
    """,
]
DOWN = [
    "DROP INDEX run_due",
    "CREATE INDEX run_due ON run (due_at) WHERE due_at IS NOT NULL",
    "ALTER TABLE task DROP COLUMN started_runs",
    "ALTER TABLE task DROP COLUMN max_runs",
]


class Migration(Migration):
    dependencies = [("gob", "0011_limit_marks")]
    operations = [RunSQL(UP, reverse_sql=DOWN)]
