"""KServe's own client at work, as a process of its own: `python kserve_client.py HTTP_PORT GRPC_PORT IMAGE`.

A process of its own, because its stubs and the service's register the same public messages. Prints JSON.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

CANVAS = (1, 64, 96, 3)


async def main(http_port: str, grpc_port: str, picture: Path) -> None:
    from kserve import InferenceGRPCClient, InferenceRESTClient, RESTConfig

    url = f"http://127.0.0.1:{http_port}"
    rest = InferenceRESTClient(RESTConfig(protocol="v2"))
    rpc = InferenceGRPCClient(f"127.0.0.1:{grpc_port}")
    found: dict[str, Any] = {
        "rest": {
            "health": [
                await rest.is_server_live(url),
                await rest.is_server_ready(url),
                await rest.is_model_ready(url, "toy"),
            ],
            "answers": [
                read(await rest.infer(url, request, model_name=request.model_name))
                for request in ask(picture)
            ],
        },
        "grpc": {
            "health": [
                await rpc.is_server_live(),
                await rpc.is_server_ready(),
                await rpc.is_model_ready("toy"),
            ],
            "answers": [read(await rpc.infer(request)) for request in ask(picture)],
        },
    }
    await rest.close()
    await rpc.close()
    print(json.dumps(found))


def ask(picture: Path) -> list[Any]:
    """An image for `toy`, and pixels for `toy.tensors`: as bytes after the JSON, and as numbers in it."""
    from kserve import InferInput, InferRequest

    image = InferInput("image", [1], "BYTES")
    image.set_data_from_numpy(np.array([picture.read_bytes()], object), binary_data=True)
    pixels = (np.arange(np.prod(CANVAS)) % 251).astype(np.uint8).reshape(CANVAS)
    requests = [InferRequest("toy", [image], request_id="7", parameters={"max_instances": 5})]
    for binary in (True, False):
        tensor = InferInput("pixels", list(CANVAS), "UINT8")
        tensor.set_data_from_numpy(pixels, binary_data=binary)
        requests.append(InferRequest("toy.tensors", [tensor], request_id="8"))
    return requests


def read(answer: Any) -> dict[str, Any]:
    """The outputs of an answer by name, with the id and the name of the model."""
    outputs = {output.name: np.asarray(output.as_numpy()).tolist() for output in answer.outputs}
    texts = {
        name: [each.decode() if isinstance(each, bytes) else each for each in values]
        for name, values in outputs.items()
    }
    return {"id": answer.id, "model": answer.model_name, "outputs": texts}


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
