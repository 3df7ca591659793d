"""What a server says of its models."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.types import BackendInfo, Size


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that answers.

    input: the network's canvas; images of any size are accepted.
    categories: the id that answers carry for each label, in the model's order.
    score_threshold, max_instances: what holds where a caller asks for nothing else.
    """

    name: str
    version: str
    description: str
    network: str
    input: Size
    categories: Mapping[str, int]
    score_threshold: float
    max_instances: int
    parameters: int
    multiply_adds: int
    backend: BackendInfo


@dataclass(frozen=True, slots=True)
class ModelList:
    """What answers, the default first; `refused`: folder to why its model does not; `unloaded`: folders."""

    models: tuple[ModelInfo, ...]
    refused: Mapping[str, str]
    unloaded: tuple[str, ...]
