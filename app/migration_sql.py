"""Operations of migrations where the databases differ."""

from typing import Any

from tortoise.migrations.operations import RunSQL


class DialectSQL(RunSQL):
    """Statements by the name of the database: `sqlite` or `postgres`."""

    async def _run_sql(self, state_editor: Any, sqls: Any) -> None:
        dialect = state_editor.client.capabilities.dialect
        given = sqls["sqlite" if dialect == "sqlite" else "postgres"]
        await super()._run_sql(state_editor, given)  # pyright: ignore[reportUnknownMemberType]  # untyped there
