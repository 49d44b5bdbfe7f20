"""Why a model did not answer, in words that end in something to do."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.cli.doctor.checks import Check, failed, warning
from domain.models.ports import ModelError, ModelErrorKind

_NO_CREDIT = re.compile(
    r"quota|credit balance|billing|payment required|insufficient (?:funds|balance|credit)",
    re.IGNORECASE,
)
_MODEL = re.compile(r"\bmodels?\b", re.IGNORECASE)
MOST_NAMED = 8
LOADING = (
    "It may still be loading the model; try again in a minute, or raise "
    "MODEL_FIRST_TOKEN_TIMEOUT_S."
)

CERTIFICATE = (
    "Have this machine trust the server's certificate: set SSL_CERT_FILE to the file of the "
    "authority that signed it."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Whom the doctor asked, and the settings that decide about it."""

    name: str
    """Name of the check."""
    provider: str
    place: str
    model: str
    model_key: str = "MODEL_NAME"
    key: str | None = None
    has_key: bool = True
    address_key: str | None = None
    address_should_be: str = "the provider's address"


def is_answer(error: ModelError) -> bool:
    """True for a refusal that only a model can give: the way to it works."""
    if error.kind is ModelErrorKind.REFUSED:
        return True
    return "model output limit was reached" in error.message


def trouble(error: ModelError, asked: Asked, *, there: Sequence[str] | None = None) -> Check:
    """Name the trouble and its cure; `there` are the models that the server has, if it said."""
    said = error.message.removeprefix(f"{asked.provider} ")
    found = f"{asked.place}, model {asked.model}: {said}"
    if error.kind is ModelErrorKind.RATE_LIMITED and not _NO_CREDIT.search(error.message):
        return warning(
            asked.name, found, "It works and is busy: wait, or ask the provider for more a minute."
        )
    return failed(asked.name, found, _cure(error, asked, there))


def _cure(error: ModelError, asked: Asked, there: Sequence[str] | None) -> str:
    if _NO_CREDIT.search(error.message) or error.status == 402:
        return f"The account has no credit left; add some, or use another {_named(asked.key)}."
    match error.kind:
        case ModelErrorKind.UNAUTHORIZED:
            return _of_key(asked)
        case ModelErrorKind.UNAVAILABLE:
            return _of_outage(error, asked)
        case ModelErrorKind.TIMEOUT:
            return LOADING
        case ModelErrorKind.BAD_RESPONSE if "base URL" in error.message:
            return _of_address(asked)
        case ModelErrorKind.BAD_RESPONSE:
            return "What answers does not keep to its API; look at the log of the model server."
        case _:
            return _of_request(error, asked, there)


def _of_key(asked: Asked) -> str:
    if asked.key is None:
        return "Check the key of this provider."
    if not asked.has_key:
        return f"The server wants a key; set {asked.key}."
    return f"Check {asked.key}; it is wrong or revoked, or may not use this model."


def _of_outage(error: ModelError, asked: Asked) -> str:
    if "cannot be reached" not in error.message:
        return "Look at the log of the model server, or try later."
    if "certificate verify failed" in error.message:
        return CERTIFICATE
    if asked.address_key is None:
        return "Check the network and what the provider says of its state, or try later."
    return f"Check {asked.address_key}, the network, and that the server runs."


def _of_address(asked: Asked) -> str:
    name = _named(asked.address_key, "the address")
    return f"Check {name}; it should be {asked.address_should_be}."


def _of_request(error: ModelError, asked: Asked, there: Sequence[str] | None) -> str:
    if asked.address_key is None and error.status is None:
        return f"Do what it says, or set {asked.model_key} to a model of another provider."
    if there is not None and asked.model not in there:
        return f"Set {asked.model_key} to a model that is there: {listed(there)}."
    if error.status == 404 and there is None and not _MODEL.search(error.message):
        return _of_address(asked)
    return f"Set {asked.model_key} to a model that this provider has, and read what it says."


def listed(names: Sequence[str]) -> str:
    """Some of the names."""
    if not names:
        return "none"
    more = len(names) - MOST_NAMED
    shown = ", ".join(names[:MOST_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown


def _named(key: str | None, otherwise: str = "key") -> str:
    return key or otherwise
