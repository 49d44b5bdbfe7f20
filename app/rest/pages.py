"""What everybody may read beneath `/api/v1`: the list of paths, the OpenAPI file, problems."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import orjson

from app.documents.index import Index, PathLine
from app.middleware.problems import PROBLEM_PAGE, REST_ROOT
from app.rest import examples
from app.rest.answers import JSON, Answer, Outcome
from app.rest.calls import Call
from app.rest.endpoints import Endpoint, Success
from app.rest.problem_page import problem_page
from app.rest.yaml_text import to_yaml

TAG = "About this API"
YAML = "application/yaml"
MARKDOWN = "text/markdown"

Document = dict[str, object]


class Pages:
    """Texts that never change while the server runs, written when first asked for."""

    def __init__(self, endpoints: Sequence[Endpoint], describe: Callable[[], Document]) -> None:
        self._endpoints = endpoints
        self._describe = describe
        self._written: dict[str, bytes] = {}

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints that serve them."""
        openapi = "An OpenAPI 3.1 document."
        described = "The OpenAPI description of this API."
        return [
            _page(
                "",
                "index",
                words=("List the paths", "Every path with one line, and where to read more."),
                success=Success(description="The list.", document=Index, example=examples.INDEX),
                perform=self._answer(JSON, self._index),
            ),
            _page(
                "/openapi.json",
                "openapiJson",
                words=("Read this description as JSON", described),
                success=Success(description=openapi, media=JSON),
                perform=self._answer(JSON, lambda: orjson.dumps(self._describe())),
            ),
            _page(
                "/openapi.yaml",
                "openapiYaml",
                words=("Read this description as YAML", described),
                success=Success(description=openapi, media=YAML),
                perform=self._answer(YAML, lambda: to_yaml(self._describe()).encode()),
            ),
            _page(
                "/problems",
                "problems",
                words=("Read what problems mean", "Every kind of problem and what to do."),
                success=Success(description="A page in Markdown.", media=MARKDOWN),
                perform=self._answer(f"{MARKDOWN}; charset=utf-8", lambda: problem_page().encode()),
            ),
        ]

    def _answer(
        self, media: str, write: Callable[[], bytes]
    ) -> Callable[[Call], Awaitable[Outcome]]:
        async def perform(call: Call) -> Outcome:
            path = call.endpoint.path
            if path not in self._written:
                # Describing everything takes long enough for others to notice.
                self._written[path] = await asyncio.to_thread(write)
            return Answer(status=200, body=self._written[path], media=media, headers=[])

        return perform

    def _index(self) -> bytes:
        index = Index(
            openapi=f"{REST_ROOT}/openapi.yaml",
            problems=PROBLEM_PAGE,
            graphql="/graphql",
            paths=[
                PathLine(method=one.method, path=REST_ROOT + one.path, summary=one.summary)
                for one in self._endpoints
            ],
        )
        return index.json_bytes()


def _page(
    path: str,
    operation_id: str,
    *,
    words: tuple[str, str],
    success: Success,
    perform: Callable[[Call], Awaitable[Outcome]],
) -> Endpoint:
    summary, description = words
    return Endpoint(
        method="GET",
        path=path,
        operation_id=operation_id,
        tag=TAG,
        summary=summary,
        description=description,
        scope=None,
        perform=perform,
        answers={200: success},
    )
