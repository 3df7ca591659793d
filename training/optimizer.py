"""The optimiser with its parameter groups, and the running average of the weights."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from training.lr_schedule import StepSettings
from training.networks.families import Network
from training.recipe import Recipe


def freeze_blocks(network: Network, count: int) -> None:
    """Excludes the weights of the first `count` backbone blocks from training."""
    for block in list(network.backbone.blocks)[:count]:
        block.requires_grad_(False)


def set_training(network: Network, frozen_blocks: int) -> None:
    """Sets training mode, but evaluation mode for frozen blocks, whose statistics stay as they are."""
    network.train()
    for block in list(network.backbone.blocks)[:frozen_blocks]:
        block.eval()


def make_optimizer(network: Network, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW, or SGD with momentum as in the paper (BlitzMask, sec. 4.1)."""
    groups = parameter_groups(network, recipe)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.rate, momentum=recipe.momentum)
    return torch.optim.AdamW(groups, lr=recipe.rate)


def parameter_groups(network: Network, recipe: Recipe) -> list[dict[str, Any]]:
    """Backbone and rest with their learning rates; biases and norms are apart, without weight decay."""
    groups = []
    for in_backbone, factor in ((True, recipe.backbone_rate), (False, 1.0)):
        chosen = [
            parameter
            for name, parameter in network.named_parameters()
            if parameter.requires_grad and name.startswith("backbone.") == in_backbone
        ]
        for matrix in (True, False):
            weights = [parameter for parameter in chosen if (parameter.ndim > 1) == matrix]
            decay = recipe.weight_decay if matrix else 0.0
            groups.append({"params": weights, "factor": factor, "weight_decay": decay})
    return groups


def apply_settings(optimizer: torch.optim.Optimizer, settings: StepSettings) -> None:
    """Sets the learning rates, and the momentum if the optimiser has one, for the next step."""
    for group in optimizer.param_groups:
        group["lr"] = settings.rate * group["factor"]
        if "momentum" in group:
            group["momentum"] = settings.momentum


def name_state(network: Network, optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Any]]:
    """The optimiser's state by the names of the weights."""
    state = optimizer.state
    return {name: state[weight] for name, weight in network.named_parameters() if weight in state}


def restore_state(
    network: Network, optimizer: torch.optim.Optimizer, saved: Mapping[str, dict[str, Any]]
) -> None:
    """Sets the optimiser's state to what `name_state` returned; other weights start without state."""
    optimizer.state.clear()
    for name, weight in network.named_parameters():
        if name in saved:
            optimizer.state[weight] = {
                key: value.to(weight.device) if key != "step" and isinstance(value, Tensor) else value
                for key, value in saved[name].items()
            }


def make_average(network: Network, decay: float) -> AveragedModel:
    """An exponential average of all weights and statistics; its decay is lower in the first steps.

    `module` is the averaged network, in evaluation mode.
    """

    def average(mean: Tensor, value: Tensor, count: Tensor | int) -> Tensor:
        share = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        return mean + (value - mean) * share

    averaged = AveragedModel(network, avg_fn=average, use_buffers=True)
    averaged.eval().requires_grad_(requires_grad=False)
    return averaged
