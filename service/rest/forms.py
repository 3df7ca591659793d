"""multipart/form-data, in memory: the body is bounded already, so nothing goes to disk."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.errors import InvalidImage

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


@dataclass(slots=True)
class Part:
    """One part of a form; `is_file` where it has a file name."""

    name: str = ""
    is_file: bool = False
    content: bytearray = field(default_factory=bytearray)


def parse_form(body: bytes, content_type: str) -> list[Part]:
    """The parts of a form; raises InvalidImage where it is malformed or does not end.

    >>> head = b'--b\\r\\nContent-Disposition: form-data; name="image"; filename="x"\\r\\n\\r\\n'
    >>> parse_form(head + b"PNG\\r\\n--b--", "multipart/form-data; boundary=b")
    [Part(name='image', is_file=True, content=bytearray(b'PNG'))]
    """
    _, parameters = parse_options_header(content_type)
    reader = _Reader()
    try:
        MultipartParser(parameters[b"boundary"], reader.callbacks()).write(body)
    except KeyError as error:
        raise InvalidImage("the multipart body has no boundary in its Content-Type") from error
    except FormParserError as error:
        raise InvalidImage("the multipart body cannot be read: it is malformed") from error
    if not reader.ended:
        raise InvalidImage("the multipart body cannot be read: it is cut off before its last boundary")
    return reader.parts


class _Reader:
    """Collects what the parser calls out."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._header = bytearray()
        self._value = bytearray()

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": lambda: self.parts.append(Part()),
            "on_part_data": lambda data, start, end: self.parts[-1].content.extend(data[start:end]),
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_end": self._end,
        }

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, parameters = parse_options_header(bytes(self._value))
            self.parts[-1].name = parameters.get(b"name", b"").decode(errors="replace")
            self.parts[-1].is_file = b"filename" in parameters
        self._header.clear()
        self._value.clear()

    def _end(self) -> None:
        self.ended = True
