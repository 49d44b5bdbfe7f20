"""Why a helper refuses: said so that a model or a person can do better the next time."""


class HelperError(ValueError):
    """The input cannot be used; the message says what is wrong and what would be right."""
