"""The public tritonclient loading and unloading: `python triton_repository.py HTTP_PORT GRPC_PORT KEY MODEL`.

A process of its own, for the reason that `triton.py` gives. Prints JSON.
"""

import json
import sys
from collections.abc import Callable
from typing import Any


def main(http_port: str, grpc_port: str, key: str, model: str) -> None:
    import tritonclient.grpc
    import tritonclient.http

    found: dict[str, Any] = {}
    for kind, library, port in (
        ("http", tritonclient.http, http_port),
        ("grpc", tritonclient.grpc, grpc_port),
    ):
        with library.InferenceServerClient(f"127.0.0.1:{port}") as client:
            found[kind] = change_and_look(client, {"x-api-key": key}, model)
    print(json.dumps(found))


def change_and_look(client: Any, shown: dict[str, str], model: str) -> dict[str, Any]:
    """Whether the model is ready after each step, and the text of each refusal."""
    seen = [client.is_model_ready(model)]
    client.unload_model(model, headers=shown, unload_dependents=True)
    seen += [client.is_model_ready(model), client.is_model_ready(f"{model}.tensors")]
    client.load_model(model, headers=shown)
    seen += [client.is_model_ready(model), client.is_model_ready(f"{model}.tensors")]
    return {
        "seen": seen,
        "no key": refuse(lambda: client.unload_model(model)),
        "configured": refuse(lambda: client.load_model(model, headers=shown, config="{}")),
        "unknown": refuse(lambda: client.load_model("oak", headers=shown)),
    }


def refuse(call: Callable[[], None]) -> str:
    from tritonclient.utils import InferenceServerException

    try:
        call()
    except InferenceServerException as error:
        return str(error.message())
    return ""


if __name__ == "__main__":
    main(*sys.argv[1:])
