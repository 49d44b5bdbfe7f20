"""Encodings: fingerprints of text, and text as Base64 (RFC 4648)."""

import base64
import binascii
import hashlib
import re
from typing import Annotated, Literal

from pydantic import Field

from domain.helpers.bounds import MAX_TEXT_CHARS
from domain.helpers.errors import HelperError

HashAlgorithm = Literal["sha256", "sha512", "sha3_256", "blake2b", "sha1", "md5"]
_BLANKS = re.compile(r"\s+")


def hash_text(
    text: Annotated[str, Field(description="The text to hash.", max_length=MAX_TEXT_CHARS)],
    *,
    algorithm: Annotated[
        HashAlgorithm,
        Field(description="sha1 and md5 compare files of old systems; they protect nothing."),
    ] = "sha256",
) -> str:
    """Hash the UTF-8 bytes of a text; gives the digest in lower-case hex."""
    return hashlib.new(algorithm, text.encode(), usedforsecurity=False).hexdigest()


def base64_encode(
    text: Annotated[str, Field(description="The text to encode.", max_length=MAX_TEXT_CHARS)],
    *,
    url_safe: Annotated[
        bool, Field(description="True uses - and _ and leaves the padding out.")
    ] = False,
) -> str:
    """Encode the UTF-8 bytes of a text as Base64."""
    if url_safe:
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    return base64.b64encode(text.encode()).decode()


def base64_decode(
    encoded: Annotated[
        str,
        Field(
            description="Base64 of UTF-8 text; the alphabet of URLs and missing padding are fine.",
            max_length=MAX_TEXT_CHARS,
        ),
    ],
) -> str:
    """Decode Base64 to text."""
    bare = _BLANKS.sub("", encoded).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        raw = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise HelperError(
            "encoded: is no Base64; only letters, digits, + / - _ and padding by = may stand there."
        ) from None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise HelperError(
            f"encoded: its {len(raw)} bytes are no UTF-8 text; only text can be decoded."
        ) from None
