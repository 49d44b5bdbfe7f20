"""What limits by rules have told and held already, once for each window."""

from tortoise.migrations import Migration
from tortoise.migrations.operations import RunSQL

UP = """
CREATE TABLE limit_mark (
    rule_id TEXT NOT NULL,
    window_start BIGINT NOT NULL,
    run_id TEXT NOT NULL,
    workspace_id TEXT NOT NULL REFERENCES workspace (id),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (rule_id, window_start, run_id)
)
"""


class Migration(Migration):
    dependencies = [("gob", "0010_behavior_profiles")]
    operations = [RunSQL(UP, reverse_sql="DROP TABLE limit_mark")]
