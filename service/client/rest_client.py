"""REST: single images, waiting or with asyncio."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from service.client.answers import ModelList
from service.client.asking import Image, check_name, check_options, load_image, read_image
from service.client.credentials import NOTHING, Credentials, is_local
from service.client.failures import name_fault, problem_to_error
from service.client.json_convert import Json, models_from_json, options_to_query, segmentation_from_json
from service.client.many import CONCURRENCY, Answers, AsyncAnswers
from service.errors import BlitzError, DeadlineExceeded, InvalidOption
from service.types import Options, Segmentation

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

OPTIONS = Options()
MEDIA = "application/octet-stream"
SEGMENT, MODELS = "/v1/segment", "/v1/models"


@dataclass(frozen=True, slots=True)
class _Calls:
    """The part that the two clients share: making requests and reading answers."""

    url: str
    timeout: float
    credentials: Credentials

    def settings(self) -> dict[str, Any]:
        """The arguments of an httpx client; raises InvalidOption."""
        scheme, _, place = self.url.partition("://")
        scheme = scheme.lower()
        if scheme not in ("http", "https") or not place:
            raise InvalidOption(f"{self.url or 'no URL'}: expected http://host:port or https://host:port")
        if scheme == "http" and self.credentials.for_tls:
            raise InvalidOption(f"{self.url}: certificates are for TLS; write https://")
        return {
            "base_url": self.url,
            "timeout": self.timeout,
            "headers": self.credentials.headers(),
            "verify": self.credentials.open_context() if scheme == "https" else True,
            "trust_env": not is_local(place.partition("/")[0]),
        }

    def segment(
        self, image: Image, options: Options, *, model: str | None, version: str | None
    ) -> dict[str, Any]:
        """The arguments of the request for one image."""
        query = options_to_query(
            check_options(options), model=check_name("model", model), version=check_name("version", version)
        )
        headers = {"content-type": MEDIA, "x-request-timeout": f"{self.timeout:g}"}
        return {
            "method": "POST",
            "url": SEGMENT,
            "content": read_image(image),
            "headers": headers,
            "params": query,
        }

    def read(self, response: "httpx.Response", convert: Callable[[Json], T]) -> T:
        """A good answer; raises the error that a bad one names."""
        try:
            content = json.loads(response.content)
        except ValueError:
            content = None
        if response.status_code != 200:
            problem = content if isinstance(content, dict) else {}
            retry_after = response.headers.get("retry-after")
            raise problem_to_error(response.status_code, problem, retry_after=retry_after)
        try:
            return convert(content)
        except (KeyError, TypeError, ValueError) as error:
            raise BlitzError(f"{self.url} is not a BlitzMask server: its JSON is something else") from error

    def name_fault(self, error: Exception) -> Exception:
        """The error of a request that got no response; errors that are not the network's stay as they are."""
        httpx = _load_httpx()
        if isinstance(error, httpx.TimeoutException):
            return DeadlineExceeded(f"{self.url} did not answer in time")
        if isinstance(error, httpx.TransportError):
            return name_fault(str(error), self.url)
        return error


class RestClient:
    """Waits for its answers; may be used from several threads.

    url: of the server, as "http://localhost:8000", or "https://...".
    timeout: seconds that a call may take.
    credentials: for servers that ask for a key, or whose certificate is not from a public authority.
    """

    def __init__(self, url: str, *, timeout: float = 30.0, credentials: Credentials = NOTHING) -> None:
        """Raises InvalidOption when the URL or the credentials cannot be used, ImportError without httpx."""
        self._calls = _Calls(url, timeout, credentials)
        self._http = _load_httpx().Client(**self._calls.settings())

    def segment(
        self,
        image: Image,
        options: Options = OPTIONS,
        *,
        model: str | None = None,
        version: str | None = None,
    ) -> Segmentation:
        """The instances in an image: encoded bytes, a path or an array of pixels; raises BlitzError."""
        asked = self._calls.segment(image, options, model=model, version=version)
        found = self._ask(asked, segmentation_from_json)
        return replace(found, picture=asked["content"])

    def segment_many(
        self,
        images: Iterable[Image],
        options: Options = OPTIONS,
        *,
        model: str | None = None,
        version: str | None = None,
        concurrency: int = CONCURRENCY,
    ) -> Answers:
        """The outcome for each image, in their order: a Segmentation, or the error that came instead.

        concurrency: calls under way at a time. Raises InvalidOption.
        """
        ask = partial(self.segment, options=check_options(options), model=model, version=version)
        return Answers(ask, images, concurrency=concurrency)

    def models(self) -> ModelList:
        """Every model that answers; raises Unavailable."""
        return self._ask({"method": "GET", "url": MODELS}, models_from_json)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _ask(self, asked: dict[str, Any], convert: Callable[[Json], T]) -> T:
        try:
            response = self._http.request(**asked)
        except Exception as error:
            raise self._calls.name_fault(error) from error
        return self._calls.read(response, convert)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncRestClient:
    """The same as `RestClient`, in an event loop."""

    def __init__(self, url: str, *, timeout: float = 30.0, credentials: Credentials = NOTHING) -> None:
        """Raises InvalidOption when the URL or the credentials cannot be used, ImportError without httpx."""
        self._calls = _Calls(url, timeout, credentials)
        self._http = _load_httpx().AsyncClient(**self._calls.settings())

    async def segment(
        self,
        image: Image,
        options: Options = OPTIONS,
        *,
        model: str | None = None,
        version: str | None = None,
    ) -> Segmentation:
        """The instances in an image: encoded bytes, a path or an array of pixels; raises BlitzError."""
        asked = self._calls.segment(await load_image(image), options, model=model, version=version)
        found = await self._ask(asked, segmentation_from_json)
        return replace(found, picture=asked["content"])

    def segment_many(
        self,
        images: Iterable[Image],
        options: Options = OPTIONS,
        *,
        model: str | None = None,
        version: str | None = None,
        concurrency: int = CONCURRENCY,
    ) -> AsyncAnswers:
        """The outcome for each image, in their order: a Segmentation, or the error that came instead.

        concurrency: calls under way at a time. Raises InvalidOption.
        """
        ask = partial(self.segment, options=check_options(options), model=model, version=version)
        return AsyncAnswers(ask, images, concurrency=concurrency)

    async def models(self) -> ModelList:
        """Every model that answers; raises Unavailable."""
        return await self._ask({"method": "GET", "url": MODELS}, models_from_json)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _ask(self, asked: dict[str, Any], convert: Callable[[Json], T]) -> T:
        try:
            response = await self._http.request(**asked)
        except Exception as error:
            raise self._calls.name_fault(error) from error
        return self._calls.read(response, convert)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _load_httpx() -> Any:
    """The module httpx, which takes longer to import than the whole client; raises ImportError."""
    try:
        import httpx
    except ImportError as error:
        raise ImportError("REST needs httpx: pip install httpx, or use RpcClient") from error
    return httpx
