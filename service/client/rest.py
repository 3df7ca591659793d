"""REST: single images, with httpx, which the extra `client` installs."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Self, TypeVar

import orjson

from service.client.credentials import NOTHING, Credentials
from service.client.documents import Json, models_from_json, options_to_query, segmentation_from_json
from service.client.models import ModelList
from service.client.refusals import problem_to_error
from service.errors import BlitzError, DeadlineExceeded, InvalidOption, Unavailable
from service.types import Options, Segmentation

if TYPE_CHECKING:
    import ssl

    import httpx

T = TypeVar("T")

OPTIONS = Options()
MEDIA = {"content-type": "application/octet-stream"}
SEGMENT, MODELS = "/v1/segment", "/v1/models"


class RestClient:
    """Waits for its answers; may be used from several threads.

    url: of the server, as "http://localhost:8000", or "https://...".
    timeout: seconds that a call may take.
    credentials: where the server asks for a key, or its certificate is not of a public authority.
    """

    def __init__(self, url: str, *, timeout: float = 30.0, credentials: Credentials = NOTHING) -> None:
        """Raises ImportError, with what to install, where httpx is missing, and InvalidOption."""
        _require_httpx()
        import httpx

        self._url = url
        self._headers = MEDIA | {"x-request-timeout": f"{timeout:g}"}
        self._http = httpx.Client(
            base_url=url, timeout=timeout, headers=credentials.headers(), verify=_trust(url, credentials)
        )

    def segment(
        self,
        image: bytes,
        options: Options = OPTIONS,
        *,
        model: str | None = None,
        version: str | None = None,
    ) -> Segmentation:
        """The instances in an encoded image; raises BlitzError's descendants."""
        query = options_to_query(options, model=model, version=version)
        request = self._http.build_request(
            "POST", SEGMENT, content=image, headers=self._headers, params=query
        )
        return self._send(request, segmentation_from_json)

    def models(self) -> ModelList:
        """Every model that answers; raises Unavailable."""
        return self._send(self._http.build_request("GET", MODELS), models_from_json)

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def _send(self, request: "httpx.Request", convert: Callable[[Json], T]) -> T:
        try:
            response = self._http.send(request)
        except Exception as error:
            raise _name_fault(error, self._url) from error
        return _read(response, convert)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncRestClient:
    """As `RestClient`, in an event loop."""

    def __init__(self, url: str, *, timeout: float = 30.0, credentials: Credentials = NOTHING) -> None:
        """Raises ImportError, with what to install, where httpx is missing, and InvalidOption."""
        _require_httpx()
        import httpx

        self._url = url
        self._headers = MEDIA | {"x-request-timeout": f"{timeout:g}"}
        self._http = httpx.AsyncClient(
            base_url=url, timeout=timeout, headers=credentials.headers(), verify=_trust(url, credentials)
        )

    async def segment(
        self,
        image: bytes,
        options: Options = OPTIONS,
        *,
        model: str | None = None,
        version: str | None = None,
    ) -> Segmentation:
        """The instances in an encoded image; raises BlitzError's descendants."""
        query = options_to_query(options, model=model, version=version)
        request = self._http.build_request(
            "POST", SEGMENT, content=image, headers=self._headers, params=query
        )
        return await self._send(request, segmentation_from_json)

    async def models(self) -> ModelList:
        """Every model that answers; raises Unavailable."""
        return await self._send(self._http.build_request("GET", MODELS), models_from_json)

    async def close(self) -> None:
        """Hang up."""
        await self._http.aclose()

    async def _send(self, request: "httpx.Request", convert: Callable[[Json], T]) -> T:
        try:
            response = await self._http.send(request)
        except Exception as error:
            raise _name_fault(error, self._url) from error
        return _read(response, convert)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _trust(url: str, credentials: Credentials) -> "ssl.SSLContext | bool":
    """How a server's certificate is examined; raises InvalidOption."""
    scheme, _, place = url.lower().partition("://")
    if scheme not in ("http", "https") or not place:
        raise InvalidOption(f"{url or 'no URL'}: expected http://host:port or https://host:port")
    if scheme == "https":
        return credentials.open_context()
    if credentials.for_tls:
        raise InvalidOption(f"{url}: certificates are for TLS; write https://")
    return True  # which opens nothing


def _require_httpx() -> None:
    try:
        import httpx  # noqa: F401
    except ImportError as error:
        raise ImportError("REST needs httpx: pip install httpx, or use RpcClient") from error


def _read(response: "httpx.Response", convert: Callable[[Json], T]) -> T:
    """A good answer; raises what a bad one says."""
    try:
        content = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        content = None
    if response.status_code != 200:
        raise problem_to_error(response.status_code, content if isinstance(content, dict) else {})
    try:
        return convert(content)
    except (KeyError, TypeError, ValueError) as error:
        raise BlitzError(f"{response.url} answered with something else than this service's JSON") from error


def _name_fault(error: Exception, url: str) -> Exception:
    """What the network did, as an error of the service's; anything else as it is."""
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return DeadlineExceeded(f"{url} did not answer in time")
    if isinstance(error, httpx.TransportError):
        return Unavailable(f"the server at {url} is not available: {error}")
    return error
