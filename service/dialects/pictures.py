"""The servers that this one stands in for; the pictures of Label Studio, which come from there alone."""

import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urljoin, urlsplit

from service.errors import ImageTooLarge, InvalidImage, InvalidOption, shorten

PATIENCE_S = 10.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses to follow: a redirect may lead to an address that only this machine reaches."""

    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True, slots=True)
class PictureSource:
    """Label Studio at one address.

    url: of Label Studio, as "http://host:8080". token: of one of its users. most: bytes of one picture.
    """

    url: str
    token: str
    most: int

    def locate(self, address: str) -> str:
        """The URL of a picture; raises InvalidOption for one that is not on this Label Studio.

        >>> PictureSource("http://studio:8080", "", 1).locate("/data/upload/1/cat.jpg")
        'http://studio:8080/data/upload/1/cat.jpg'
        """
        try:
            found = urljoin(f"{self.url}/", address)
            here, there = urlsplit(self.url), urlsplit(found)
            known = (here.scheme, here.hostname, here.port) == (there.scheme, there.hostname, there.port)
        except ValueError:
            known = False
        if not known or there.username is not None:
            raise InvalidOption(
                f"the picture {shorten(address, 80)} is not on {self.url}: pictures are fetched from "
                "BLITZ_LABEL_STUDIO_URL only; upload them to Label Studio, or serve them through it"
            )
        return found

    def fetch(self, address: str) -> bytes:
        """The bytes of a picture; raises InvalidOption, InvalidImage, ImageTooLarge. It blocks."""
        asked = urllib.request.Request(self.locate(address))
        if self.token:
            asked.add_unredirected_header("Authorization", f"Token {self.token}")
        opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))
        try:
            with opener.open(asked, timeout=PATIENCE_S) as response:
                content: bytes = response.read(self.most + 1)
        except (OSError, HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise InvalidImage(f"Label Studio does not give {shorten(address, 80)}: {reason}") from error
        if len(content) > self.most:
            raise ImageTooLarge(f"{shorten(address, 80)} is larger than the {self.most} bytes accepted here")
        return content


@dataclass(frozen=True, slots=True)
class DropIn:
    """The other servers that this one stands in for; `label_studio` is the place of its pictures."""

    deepstack: bool = False
    cvat: bool = False
    label_studio: PictureSource | None = None


NO_DROP_IN = DropIn()
