"""Claude models behind Anthropic's Messages API."""

from collections.abc import Mapping

from app.adapters.model_anthropic_request import betas_of, request_body
from app.adapters.model_anthropic_wire import MessagesReader
from app.adapters.model_http import ErrorWords, EventLines, ModelTimeouts, RetryPolicy
from app.adapters.model_http_client import HttpModelClient, ModelServer, Wire
from domain.models.ports import ModelError, ModelRequest

API_VERSION = "2023-06-01"


class AnthropicModelClient(HttpModelClient):
    """Asks any server that speaks `POST {base_url}/v1/messages` with streaming."""

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str | None = None,
        name: str = "anthropic",
        timeouts: ModelTimeouts | None = None,
        retries: RetryPolicy | None = None,
    ) -> None:
        """Raise ValueError for a base URL that is not http or https; it may end in /v1."""
        base_url = base_url.strip().rstrip("/").removesuffix("/v1")
        server = ModelServer(name=name, base_url=base_url, api_key=api_key)
        super().__init__(AnthropicWire(name), server, timeouts=timeouts, retries=retries)


class AnthropicWire(Wire):
    """Messages, streamed as server-sent events."""

    path = "/v1/messages"

    def __init__(self, name: str = "anthropic") -> None:
        self._name = name

    def headers(self, api_key: str | None, /) -> Mapping[str, str]:
        """The key in a header of its own, and the version that this file was written for."""
        key = {"x-api-key": api_key} if api_key else {}
        return {"Accept": "text/event-stream", "anthropic-version": API_VERSION, **key}

    def headers_of(self, request: ModelRequest, /) -> Mapping[str, str]:
        """Features to be tried, which the parameter `betas` names."""
        betas = betas_of(request)
        return {"anthropic-beta": ",".join(betas)} if betas else {}

    def body(self, request: ModelRequest) -> bytes:
        """JSON of the request."""
        return request_body(request, self._name)

    def lines(self) -> EventLines:
        """Payloads of `data:` lines; each names its event once more."""
        return EventLines()

    def reader(self, request: ModelRequest, words: ErrorWords, /) -> MessagesReader:
        """A reader for one attempt."""
        return MessagesReader(request, words)

    def cure(self, error: ModelError, request: ModelRequest, /) -> str:
        """What to do about a name that is refused, which the API only repeats, or a length."""
        if error.status == 404 and request.model in error.message:
            return "There is no such model, or the key may not use it."
        if error.status == 400 and "maximum allowed number of output tokens" in error.message:
            return "Give the model a smaller parameter max_tokens."
        return ""
