"""What a client hears about paths and methods that do not exist, in JSON as everything else."""

from collections.abc import Mapping, Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from app.middleware.responses import Refusal, refusal_body

_CODES = {400: "BAD_REQUEST", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "BODY_TOO_LARGE"}


def http_error_answers(doors: Sequence[str]) -> Mapping[type[Exception], ExceptionHandler]:
    """Return Starlette's `exception_handlers`; a 404 names the doors there are."""

    async def answer(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        sent = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
        code = _CODES.get(status, "HTTP_ERROR")
        message = _message(request, status, sent.get("Allow", ""))
        extras = {"doors": list(doors)} if status == 404 else {}
        refusal = Refusal(status=status, code=code, message=message, extras=extras)
        body, media = refusal_body(request.scope, refusal)
        return Response(body, status, sent, media_type=media)

    return {HTTPException: answer}


def _message(request: Request, status: int, allow: str) -> str:
    path = request.url.path[:200]
    if status == 404:
        return f"There is nothing at {path!r}."
    if status == 405:
        return f"{path!r} does not take {request.method}; it takes {allow or 'other methods'}."
    return f"The request to {path!r} cannot be served."
