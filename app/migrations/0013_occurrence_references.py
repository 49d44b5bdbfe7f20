"""Occurrences are inserted by the thousand: PostgreSQL no longer looks up what each belongs to."""

from tortoise.migrations import Migration

from app.migration_sql import DialectSQL

# The task was read and locked in the same transaction, and no task's row is ever deleted.
COLUMNS = {"workspace_id": "workspace (id)", "task_id": "task (id)"}
UP = [f"ALTER TABLE occurrence DROP CONSTRAINT occurrence_{column}_fkey" for column in COLUMNS]
DOWN = [
    f"ALTER TABLE occurrence ADD CONSTRAINT occurrence_{column}_fkey"
    f" FOREIGN KEY ({column}) REFERENCES {target}"
    for column, target in COLUMNS.items()
]


class Migration(Migration):
    dependencies = [("gob", "0012_task_bounds")]
    operations = [
        DialectSQL(
            {"sqlite": [], "postgres": UP},
            reverse_sql={"sqlite": [], "postgres": DOWN},
        )
    ]
