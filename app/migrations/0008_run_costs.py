"""What runs cost; of those that asked a language model before, nobody knows."""

from tortoise.migrations import Migration
from tortoise.migrations.operations import RunSQL

UP = [
    "ALTER TABLE run ADD COLUMN cost_pico_usd BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE run ADD COLUMN cost_known BOOLEAN NOT NULL DEFAULT TRUE",
    "UPDATE run SET cost_known = FALSE WHERE model_calls > 0 AND NOT offline",
]

DOWN = [
    "ALTER TABLE run DROP COLUMN cost_known",
    "ALTER TABLE run DROP COLUMN cost_pico_usd",
]


class Migration(Migration):
    dependencies = [("gob", "0007_model_steps")]
    operations = [RunSQL(UP, reverse_sql=DOWN)]
