"""The public tritonclient at work, as a process of its own.

`python -m tests.e2e.serving.triton HTTP_PORT GRPC_PORT IMAGE` prints JSON. It has a process of its own, since
its stubs and those of the service register the same public messages.
"""

import json
import queue
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.running import PATIENCE_S

CANVAS = (2, 64, 96, 3)
PIXELS = (np.arange(np.prod(CANVAS)) % 251).astype(np.uint8).reshape(CANVAS)
ASKED = {"score_threshold": 0.7, "max_instances": 5, "classes": "rose"}


def main(http_port: str, grpc_port: str, picture: Path) -> None:
    import tritonclient.grpc
    import tritonclient.http

    image = np.array([picture.read_bytes()], object)
    found: dict[str, Any] = {}
    for kind, library, port in (
        ("http", tritonclient.http, http_port),
        ("grpc", tritonclient.grpc, grpc_port),
    ):
        with library.InferenceServerClient(f"127.0.0.1:{port}") as client:
            found[kind] = {
                "health": tell_health(client),
                "server": to_plain(client.get_server_metadata()),
                "metadata": to_plain(client.get_model_metadata("toy", "1")),
                "config": to_plain(client.get_model_config("toy.tensors")),
                "index": to_plain(client.get_model_repository_index()),
                "image": infer(client, library, "toy", ("image", "BYTES", image), parameters=ASKED),
                "tensors": infer(client, library, "toy.tensors", ("pixels", "UINT8", PIXELS)),
                "refusal": refuse(client, library),
                "statistics": to_plain(client.get_inference_statistics("toy.tensors")),
            }
    with tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{grpc_port}") as client:
        found["stream"] = stream(client, tritonclient.grpc, image)
    print(json.dumps(found))


def tell_health(client: Any) -> list[bool]:
    return [
        client.is_server_live(),
        client.is_server_ready(),
        client.is_model_ready("toy"),
        client.is_model_ready("toy.tensors", "1"),
        client.is_model_ready("none"),
    ]


def make_input(library: Any, name: str, datatype: str, array: Any) -> Any:
    tensor = library.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array)
    return tensor


def infer(client: Any, library: Any, model: str, tensor: Any, **options: Any) -> dict[str, Any]:
    result = client.infer(model, [make_input(library, *tensor)], request_id="7", **options)
    response = to_plain(result.get_response())
    assert response["id"] == "7"
    return read_outputs(result, response)


def read_outputs(result: Any, response: dict[str, Any]) -> dict[str, Any]:
    outputs = {each["name"]: result.as_numpy(each["name"]).tolist() for each in response["outputs"]}
    return {
        name: [each.decode() if isinstance(each, bytes) else each for each in values]
        for name, values in outputs.items()
    }


def refuse(client: Any, library: Any) -> list[str]:
    from tritonclient.utils import InferenceServerException

    try:
        infer(client, library, "toy.tensors", ("pixels", "UINT8", PIXELS[:, :, :, :2]))
    except InferenceServerException as error:
        return [str(error.status()), str(error.message())]
    return []


def stream(client: Any, library: Any, image: Any) -> list[Any]:
    """Ids and numbers of instances in the order of the answers; the error of the third."""
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for number in range(6):
        tensor = make_input(library, "image", "BYTES", image)
        model = "none" if number == 2 else "toy"
        client.async_stream_infer(model, [tensor], request_id=str(number), parameters=ASKED)
    found: list[Any] = []
    for _ in range(6):
        result, error = answers.get(timeout=PATIENCE_S)
        found.append(str(error) if error else [result.get_response().id, len(result.as_numpy("scores"))])
    client.stop_stream()
    return found


def to_plain(answer: Any) -> Any:
    if isinstance(answer, (dict, list)):
        return answer
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(answer, preserving_proto_field_name=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
