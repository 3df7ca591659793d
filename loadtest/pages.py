"""What a server says of itself on a page."""

import asyncio
import urllib.request

from service.client.credentials import NOTHING, Credentials

_PATIENCE = 2.0  # seconds


async def fetch(url: str, credentials: Credentials = NOTHING) -> bytes:
    """The page; raises OSError where there is none, and ValueError where the address is none."""
    return await asyncio.to_thread(_fetch, url, credentials)


def _fetch(url: str, credentials: Credentials) -> bytes:
    context = credentials.open_context() if url.startswith("https:") else None
    request = urllib.request.Request(url, headers=credentials.headers())
    with urllib.request.urlopen(request, timeout=_PATIENCE, context=context) as page:
        return bytes(page.read())
