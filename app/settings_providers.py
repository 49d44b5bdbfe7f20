"""Keys of the providers that MODEL_PROVIDER=providers reaches, under their usual names.

They are no settings of ours and not on the reference page, but they are read with them: from the
environment or from the env file, kept from every log, and handed to the provider's package.
"""

from collections.abc import Mapping

from pydantic import SecretStr

KEY_NAMES: Mapping[str, tuple[str, ...]] = {
    "alibaba": ("ALIBABA_API_KEY", "DASHSCOPE_API_KEY"),
    "azure": ("AZURE_OPENAI_API_KEY",),
    "bedrock": ("AWS_BEARER_TOKEN_BEDROCK",),
    "cerebras": ("CEREBRAS_API_KEY",),
    "cohere": ("CO_API_KEY",),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "fireworks": ("FIREWORKS_API_KEY",),
    "google": ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    "groq": ("GROQ_API_KEY",),
    "heroku": ("HEROKU_INFERENCE_KEY",),
    "huggingface": ("HF_TOKEN",),
    "mistral": ("MISTRAL_API_KEY",),
    "moonshotai": ("MOONSHOTAI_API_KEY",),
    "nebius": ("NEBIUS_API_KEY",),
    "openrouter": ("OPENROUTER_API_KEY",),
    "ovhcloud": ("OVHCLOUD_API_KEY",),
    "sambanova": ("SAMBANOVA_API_KEY",),
    "together": ("TOGETHER_API_KEY",),
    "vercel": ("VERCEL_AI_GATEWAY_API_KEY",),
    "xai": ("XAI_API_KEY",),
    "zai": ("ZAI_API_KEY",),
}
"""The key's names by the prefix of the models it is for; the first that is set counts."""

ALL_KEY_NAMES = tuple(name for names in KEY_NAMES.values() for name in names)


def provider_keys(given: Mapping[str, str]) -> Mapping[str, SecretStr]:
    """Keys by prefix, out of everything that is set."""
    found = {
        prefix: next((given[name].strip() for name in names if given.get(name, "").strip()), "")
        for prefix, names in KEY_NAMES.items()
    }
    return {prefix: SecretStr(key) for prefix, key in found.items() if key}


def is_sendable(key: str) -> bool:
    """True for a key that a header can carry; what a header refuses is shown in its error."""
    return key.isascii() and key.isprintable()
