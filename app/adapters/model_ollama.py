"""Models that Ollama runs, over its native API.

Its other API, which resembles OpenAI's, takes no `num_ctx` and cuts longer prompts in silence.
"""

from collections.abc import Mapping

from app.adapters.model_http import ErrorWords, JsonLines, ModelTimeouts, RetryPolicy
from app.adapters.model_http_client import HttpModelClient, ModelServer, Wire
from app.adapters.model_ollama_request import request_body
from app.adapters.model_ollama_wire import OllamaReader
from domain.models.ports import ModelError, ModelErrorKind, ModelRequest

DEFAULT_NUM_CTX = 16_384
_OTHER_ENDPOINTS = ("/v1", "/api")


class OllamaModelClient(HttpModelClient):
    """Asks `POST {base_url}/api/chat` with streaming."""

    def __init__(
        self,
        *,
        base_url: str,
        num_ctx: int = DEFAULT_NUM_CTX,
        name: str = "ollama",
        timeouts: ModelTimeouts | None = None,
        retries: RetryPolicy | None = None,
    ) -> None:
        """Raise ValueError for a base URL that is not http or https.

        `num_ctx` is how many tokens prompt and answer may have together; 0 leaves it to Ollama.
        """
        base_url = base_url.strip().rstrip("/")
        for endpoint in _OTHER_ENDPOINTS:
            base_url = base_url.removesuffix(endpoint)
        server = ModelServer(name=name, base_url=base_url)
        super().__init__(OllamaWire(name, num_ctx), server, timeouts=timeouts, retries=retries)


class OllamaWire(Wire):
    """Chats, streamed as lines of JSON."""

    path = "/api/chat"

    def __init__(self, name: str = "ollama", num_ctx: int = DEFAULT_NUM_CTX) -> None:
        self._name = name
        self._num_ctx = num_ctx

    def headers(self, _api_key: str | None, /) -> Mapping[str, str]:
        """No key: Ollama knows none."""
        return {"Accept": "application/x-ndjson"}

    def body(self, request: ModelRequest) -> bytes:
        """JSON of the request."""
        return request_body(request, self._name, self._num_ctx)

    def lines(self) -> JsonLines:
        """Lines, each an object."""
        return JsonLines()

    def reader(self, request: ModelRequest, words: ErrorWords, /) -> OllamaReader:
        """A reader for one attempt."""
        return OllamaReader(request, words, self._num_ctx)

    def cure(self, error: ModelError, request: ModelRequest, /) -> str:
        """What to do about the failures that people meet most."""
        said = error.message.lower()
        if error.status == 404 and "model" in said:
            return f"Get it with: ollama pull {request.model}"
        if error.kind is ModelErrorKind.CONTEXT_TOO_LONG:
            return "Raise OLLAMA_NUM_CTX or the parameter num_ctx, or offer fewer tools."
        if "does not support tools" in said:
            return "Choose a model that calls tools, or give the agent allowedTools: []."
        if "does not support thinking" in said:
            return "Choose a model that thinks, or leave the parameter think out."
        if "requires more system memory" in said:
            return "Choose a smaller model, or lower OLLAMA_NUM_CTX."
        if error.kind is ModelErrorKind.UNAVAILABLE and "cannot be reached" in said:
            return "Start it with: ollama serve. Or set OLLAMA_BASE_URL to where it runs."
        return ""
