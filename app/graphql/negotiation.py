"""Which media type a GraphQL response has, as GraphQL over HTTP section 6.1 and RFC 9110 say."""

from enum import StrEnum
from functools import lru_cache

from app.middleware.accept import MediaRange, media_ranges


class ResponseMedia(StrEnum):
    """The shapes of answer a GraphQL client may ask for."""

    GRAPHQL = "application/graphql-response+json"
    JSON = "application/json"
    EVENT_STREAM = "text/event-stream"
    HTML = "text/html"


_JSON_KINDS = {
    "application/graphql-response+json": ResponseMedia.GRAPHQL,
    "application/json": ResponseMedia.JSON,
    "application/*": ResponseMedia.JSON,
    "*/*": ResponseMedia.JSON,
}


@lru_cache(maxsize=256)
def negotiate(accept: str | None, *, page: bool = False) -> ResponseMedia | None:
    """Choose the answer to an Accept header; None when nothing we have is acceptable.

    Without a header it is application/json, which older clients expect. An event stream is
    chosen only when no JSON type is named: clients that offer all of them want JSON for
    queries. A page is chosen only where there is one and the client names text/html.
    """
    if accept is None or not accept.strip():
        return ResponseMedia.JSON
    ranges = _ranges(accept)
    named = {entry.media for entry in ranges}
    if page and "text/html" in named:
        return ResponseMedia.HTML
    if "text/event-stream" in named and not named & _JSON_KINDS.keys():
        return ResponseMedia.EVENT_STREAM
    return next((_JSON_KINDS[entry.media] for entry in ranges if entry.media in _JSON_KINDS), None)


def is_json_utf8(content_type: str | None) -> bool:
    """Tell whether a request body is declared as JSON in UTF-8, the only form accepted."""
    if content_type is None:
        return False
    media, *parameters = [part.strip().lower() for part in content_type.split(";")]
    if media != ResponseMedia.JSON:
        return False
    pairs = [parameter.partition("=") for parameter in parameters]
    charsets = [value.strip('"') for name, _, value in pairs if name == "charset"]
    return all(charset in {"utf-8", "utf8"} for charset in charsets)


def _ranges(accept: str) -> list[MediaRange]:
    """Media ranges the client accepts, best first; equal ones stay in their order."""
    wanted = [entry for entry in media_ranges(accept) if entry.quality > 0]
    return sorted(wanted, key=lambda entry: -entry.quality)
