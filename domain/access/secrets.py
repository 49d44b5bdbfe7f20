"""API keys as text: `gob_` + 8 characters to recognise it + 32 random ones + a checksum."""

import hmac
import secrets
import zlib
from dataclasses import dataclass

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PREFIX_LENGTH = 12
SECRET_LENGTH = 40
CHECK_LENGTH = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class MintedKey:
    """A new key: the secret is shown once, prefix and digest are kept."""

    secret: str
    prefix: str
    digest: str


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    letters: list[str] = []
    for _ in range(CHECK_LENGTH):
        number, rest = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[rest])
    return "".join(letters)


def digest_of(secret: str) -> str:
    """Return what is stored of a key: HMAC-SHA256 (RFC 2104), enough for 238 random bits."""
    return hmac.digest(b"gob.api-key", secret.encode(), "sha256").hex()


def mint() -> MintedKey:
    """Make a key of 238 random bits."""
    body = "gob_" + "".join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH))
    secret = body + _checksum(body)
    return MintedKey(secret=secret, prefix=body[:PREFIX_LENGTH], digest=digest_of(secret))


def is_well_formed(secret: str) -> bool:
    """True when the text can be a key: spares the database guesses and typing errors."""
    if len(secret) != len("gob_") + SECRET_LENGTH + CHECK_LENGTH or not secret.isascii():
        return False
    body, check = secret[:-CHECK_LENGTH], secret[-CHECK_LENGTH:]
    return body.startswith("gob_") and hmac.compare_digest(_checksum(body), check)
