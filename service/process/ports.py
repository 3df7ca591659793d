"""The address that both ports are opened on."""

import socket

from service.errors import InvalidSetting


def choose_family(host: str) -> socket.AddressFamily:
    """IPv6 where the host is one of its addresses."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def check_host(host: str) -> None:
    """Raises InvalidSetting where nobody could listen on the host, whatever the port."""
    try:
        socket.create_server((host, 0), family=choose_family(host)).close()
    except (OSError, UnicodeError) as error:
        raise InvalidSetting(
            f"BLITZ_HOST={host}: this machine has no such address; 0.0.0.0 is all that it has"
        ) from error
