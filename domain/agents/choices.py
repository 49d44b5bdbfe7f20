"""Whether the models that an agent names can be asked here."""

from collections.abc import Collection

from domain.agents.settings import AgentSettings, ModelChoice
from domain.kernel.errors import FieldProblem, ProviderUnavailable, ValidationFailed
from domain.models.providers import ModelProviders


def check_models(models: ModelProviders, settings: AgentSettings, given: Collection[str]) -> None:
    """Refuse models of providers that are not here, among the fields that a client sent.

    What was saved before stays as it is: a provider may be set up again. Raises ValidationFailed.
    """
    problems: list[FieldProblem] = []
    if "model" in given and settings.model is not None:
        problems += _problems(models, settings.model, ("model",))
    if "fallbackModels" in given:
        for place, choice in enumerate(settings.fallback_models):
            problems += _problems(models, choice, ("fallbackModels", str(place)))
    if problems:
        raise ValidationFailed(problems)


def _problems(
    models: ModelProviders, choice: ModelChoice, path: tuple[str, ...]
) -> list[FieldProblem]:
    try:
        models.resolve(choice.provider, choice.name)
    except ProviderUnavailable as error:
        return [FieldProblem(path=(*path, "provider"), message=error.message)]
    return []
