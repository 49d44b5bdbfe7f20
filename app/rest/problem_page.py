"""The page about problems, made from the table that answers them."""

from app.middleware.problems import PROBLEM_KINDS, ProblemKind

_INTRODUCTION = """\
# Problems

Every failure of the REST API is a problem document (RFC 9457) with the media type
`application/problem+json`:

```json
{
  "type": "/api/v1/problems#validation-failed",
  "title": "Invalid values",
  "status": 422,
  "detail": "waitSeconds: Give at most 300.",
  "instance": "/api/v1/agents/execute",
  "code": "VALIDATION_FAILED",
  "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
  "fields": [{ "path": ["waitSeconds"], "in": "body", "message": "Give at most 300." }]
}
```

- `type` leads to the section below that explains the kind of problem; `code` is the same name for
  programs, and the same as in GraphQL. Both are stable. New kinds may be added: treat a code you
  do not know by its `status`.
- `detail` says what went wrong this time, for people. Do not parse it.
- `fields` names every value at fault and the part of the request that holds it: `body`, `query`,
  `path` or `header`. It is absent where no value is.
- `traceId` ties the answer to the server's log lines, runs, steps and events.
- Nothing was changed when a request is answered with a problem, except after a 500 or a 503 whose
  outcome is unknown: repeat it with the same `Idempotency-Key`, and it happens once.

This page is made by `make docs`.
"""


def problem_page() -> str:
    """Write the page in Markdown: one section for each kind."""
    sections = [_section(code, kind) for code, kind in PROBLEM_KINDS.items()]
    return "\n".join([_INTRODUCTION, *sections])


def _section(code: str, kind: ProblemKind) -> str:
    heading = code.lower().replace("_", "-")
    return (
        f"## {heading}\n\n`{code}`, status {kind.status}: {kind.title}.\n\n"
        f"{kind.meaning} {kind.cure}\n"
    )
