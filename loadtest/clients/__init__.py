"""Clients for every transport, and which one a target wants."""

from loadtest.clients.base import OK, Answer, Client, Photo
from loadtest.clients.rest import RestClient
from loadtest.clients.rpc import RpcClient
from loadtest.targets import Target

__all__ = ["OK", "Answer", "Client", "Photo", "RestClient", "RpcClient", "open_client"]


def open_client(target: Target) -> Client:
    """A client with a connection of its own; it connects when it sends."""
    if target.transport == "grpc":
        return RpcClient(target)
    return RestClient(target)
