"""The models of a server, as it describes them."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.types import BackendInfo, Size


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that answers.

    input: size of the network's input; images of any size are accepted.
    categories: the category id of each label, in the model's order.
    score_threshold, max_instances: the defaults of calls that do not set these options.
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
    """The models that answer, the default first.

    refused: the folder of each model that does not answer, and the reason.
    unloaded: the folders of models that were unloaded.
    """

    models: tuple[ModelInfo, ...]
    refused: Mapping[str, str]
    unloaded: tuple[str, ...]
