"""JSON Schema as we write it: names speak for themselves."""

from pydantic.json_schema import GenerateJsonSchema


class PlainSchema(GenerateJsonSchema):
    """JSON Schema without a title for each field: names say it, and tokens cost."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - pydantic's hook
        """Never."""
        return False
