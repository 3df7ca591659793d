"""The protocol's descriptions of the server and its models: plain data with the names of its messages."""

import json
from collections.abc import Iterable

from service import __version__
from service.oip.tensors import BYTES, TensorSpec
from service.oip.views import SUFFIX, View, list_views
from service.serving.engine import Models

Json = dict[str, object]

SERVER = "blitzmask-server"
PLATFORM = "blitzmask"
EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository", "statistics")


def describe_server() -> Json:
    """ServerMetadataResponse."""
    return {"name": SERVER, "version": __version__, "extensions": list(EXTENSIONS)}


def describe_view(view: View, catalog: Models) -> Json:
    """ModelMetadataResponse."""
    cards = [model.card for model in catalog.models()]
    return {
        "name": view.name,
        "versions": [card.version for card in cards if card.name == view.model.card.name],
        "platform": PLATFORM,
        "inputs": [_describe_tensor(spec) for spec in view.inputs],
        "outputs": [_describe_tensor(spec) for spec in view.outputs],
    }


def configure_view(view: View) -> Json:
    """ModelConfig; shapes are without the batch axis."""
    labels = json.dumps([label.name for label in view.model.card.labels])
    return {
        "name": view.name,
        "platform": PLATFORM,
        "backend": PLATFORM,
        "max_batch_size": view.batch_limit,
        "input": _configure(view.inputs, batched=view.batch_limit > 0),
        "output": _configure(view.outputs, batched=view.batch_limit > 0),
        "parameters": {"labels": {"string_value": labels}},
    }


def index_models(catalog: Models, *, ready_only: bool) -> list[Json]:
    """The entries of RepositoryIndexResponse: models that answer, and the reasons why others do not."""
    serving = [_index(*view.key, state="READY", reason="") for view in list_views(catalog)]
    if ready_only:
        return serving
    idle = {**catalog.failures, **dict.fromkeys(catalog.unloaded, "unloaded")}
    for place, reason in idle.items():
        name, _, version = place.partition("/")
        serving += [
            _index(each, version, state="UNAVAILABLE", reason=reason) for each in (name, name + SUFFIX)
        ]
    return serving


def _index(name: str, version: str, *, state: str, reason: str) -> Json:
    return {"name": name, "version": version, "state": state, "reason": reason}


def _describe_tensor(spec: TensorSpec) -> Json:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def _configure(specs: Iterable[TensorSpec], *, batched: bool) -> list[Json]:
    return [
        {
            "name": spec.name,
            "data_type": "TYPE_STRING" if spec.datatype == BYTES else f"TYPE_{spec.datatype}",
            "dims": list(spec.shape[1:] if batched else spec.shape),
        }
        for spec in specs
    ]
