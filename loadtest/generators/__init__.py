"""The load: clients of every transport, closed and open loops that drive them, and the photos that they send.

A new transport or arrival pattern needs changes here and in `commands/arguments` only.
"""

from loadtest.generators.rest import RestClient
from loadtest.generators.rpc import RpcClient
from loadtest.types import Client, Target


def open_client(target: Target) -> Client:
    """A client with its own connection, which it opens for its first photo."""
    if target.transport == "grpc":
        return RpcClient(target)
    return RestClient(target)
