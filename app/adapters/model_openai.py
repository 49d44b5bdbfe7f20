"""Models behind the chat-completions wire, which OpenAI and most local servers speak."""

from collections.abc import Mapping

from app.adapters.model_http import ErrorWords, EventLines, ModelTimeouts, RetryPolicy
from app.adapters.model_http_client import HttpModelClient, ModelServer, Wire
from app.adapters.model_openai_wire import ChatCompletionReader, request_body
from domain.models.ports import ModelError, ModelRequest


class OpenAIModelClient(HttpModelClient):
    """Asks any server that speaks `POST {base_url}/chat/completions` with streaming."""

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str | None = None,
        name: str = "openai",
        timeouts: ModelTimeouts | None = None,
        retries: RetryPolicy | None = None,
    ) -> None:
        """Raise ValueError for a base URL that is not http or https."""
        server = ModelServer(name=name, base_url=base_url, api_key=api_key)
        super().__init__(OpenAIWire(name), server, timeouts=timeouts, retries=retries)


class OpenAIWire(Wire):
    """Chat completions, streamed as server-sent events."""

    path = "/chat/completions"

    def __init__(self, name: str = "openai") -> None:
        self._name = name

    def headers(self, api_key: str | None, /) -> Mapping[str, str]:
        """The key as a bearer token; local servers often want none."""
        authorization = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        return {"Accept": "text/event-stream", **authorization}

    def body(self, request: ModelRequest) -> bytes:
        """JSON of the request."""
        return request_body(request, self._name)

    def lines(self) -> EventLines:
        """Payloads of `data:` lines."""
        return EventLines()

    def reader(self, request: ModelRequest, words: ErrorWords, /) -> ChatCompletionReader:
        """A reader for one attempt."""
        return ChatCompletionReader(request, words)

    def cure(self, error: ModelError, _request: ModelRequest, /) -> str:
        """What to do where a server speaks another dialect, or is somewhere else."""
        said = error.message.lower()
        if error.status in (400, 422) and "stream_options" in said:
            return (
                "Give the model the parameter stream_options: null;"
                " its tokens are not counted then."
            )
        if error.status in (404, 405) and "model" not in said:
            return "Is OPENAI_BASE_URL right? It usually ends in /v1."
        return ""
