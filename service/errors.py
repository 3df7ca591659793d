"""All errors of the service, independent of any transport, and the shortening of texts that they repeat.

BlitzError
├── RequestError            the caller can fix it
│   ├── InvalidImage        empty, truncated, or not an image at all
│   ├── ImageTooLarge       more bytes or pixels than the settings allow
│   ├── UnsupportedMedia    a content type that the service cannot read
│   ├── InvalidOption       an unknown option, or a value out of range
│   ├── ModelNotFound       no such model or version
│   ├── ModelRefused        a model cannot be loaded or unloaded; the models before it keep serving
│   ├── Unauthorized        the key that this call needs is missing or wrong
│   └── Forbidden           the key, or the page, is known but may not do this
├── Unavailable             the caller can come back later
│   ├── Overloaded          every slot and every place in the queue is taken
│   ├── ComputeFailed       the processes that computed this request have ended
│   ├── OutOfMemory         the machine has too little memory left for this request
│   ├── RateLimited         this caller's key has been used too often
│   ├── DeadlineExceeded    the answer would have come too late
│   └── NotReady            models are still loading, or the service is stopping
└── ArtifactError           the operator must fix it
    ├── InvalidCard         card.json contradicts itself or its files
    ├── BackendUnavailable  the runtime, provider or delegate asked for is not in effect
    ├── InvalidSetting      a BLITZ_ variable is unknown, or its value is out of range
    └── SelfTestFailed      the model does not compute the values of its golden.json

`rest.problem` and `rpc.boundary` map each leaf to a status; a test walks this tree and fails on a gap.
"""


class BlitzError(Exception):
    """The root; its message is written for the person who can act on it."""


class RequestError(BlitzError):
    """The caller can fix it."""


class InvalidImage(RequestError):
    """The bytes are empty, truncated, or not an image."""


class ImageTooLarge(RequestError):
    """The image has more bytes or pixels than the settings allow."""


class UnsupportedMedia(RequestError):
    """The request's content type is not one the service reads."""


class InvalidOption(RequestError):
    """An option is unknown, or its value is out of range."""


class ModelNotFound(RequestError):
    """The catalog holds no such model or version."""


class ModelRefused(RequestError):
    """A model cannot be loaded or unloaded; the models before it keep serving."""


class Unauthorized(RequestError):
    """The key that this call needs is missing or wrong."""


class Forbidden(RequestError):
    """The caller is known, but may not do this."""


class Unavailable(BlitzError):
    """The caller can come back later."""


class Overloaded(Unavailable):
    """Every worker slot and every place in the queue is taken."""


class ComputeFailed(Unavailable):
    """The processes that computed this request have ended."""


class OutOfMemory(Unavailable):
    """The machine has too little memory left for this request."""


class RateLimited(Unavailable):
    """This caller's key has been used too often."""

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineExceeded(Unavailable):
    """The answer would have come after the caller stopped waiting."""


class NotReady(Unavailable):
    """Models are still loading, or the service is stopping."""


class ArtifactError(BlitzError):
    """The operator must fix a model folder or a setting."""


class InvalidCard(ArtifactError):
    """card.json is malformed, or contradicts the files beside it."""


class BackendUnavailable(ArtifactError):
    """The runtime, provider or delegate asked for is not in effect."""


class InvalidSetting(ArtifactError):
    """An environment variable is unknown, or its value cannot be used."""


class SelfTestFailed(ArtifactError):
    """The model does not compute the values of its golden.json."""


ECHO = 200  # characters of a caller's text that an answer or a log line repeats, at most


def shorten(text: str, most: int = ECHO) -> str:
    """A text of at most `most` characters; a longer one is cut and ends in an ellipsis.

    >>> shorten("a long text", 7)
    'a long…'
    """
    return text if len(text) <= most else text[: most - 1] + "…"
