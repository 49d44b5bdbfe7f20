"""The behavior profile that an agent names: it is there, and stays while it is named."""

from domain.agents.settings import AgentSettings
from domain.agents.writes import claim_slugs
from domain.behavior.writes import named_profile
from domain.kernel.database import Database, Statement
from domain.kernel.errors import NotFound


async def check_profile(database: Database, workspace_id: str, settings: AgentSettings) -> None:
    """Raise NotFound unless the profile is one of the workspace."""
    wanted = settings.behavior_profile_id
    if wanted is None:
        return
    found = named_profile(workspace_id, wanted)
    if not await database.fetch(found.sql, *found.args):
        raise NotFound("behavior profile", wanted, path=["behaviorProfileId"])


def hold_profile(database: Database, workspace_id: str, settings: AgentSettings) -> list[Statement]:
    """Refuse a save when its profile was deleted meanwhile; nobody deletes it beside the save."""
    if settings.behavior_profile_id is None:
        return []
    return [
        *claim_slugs(database.dialect, workspace_id),
        named_profile(workspace_id, settings.behavior_profile_id),
    ]
