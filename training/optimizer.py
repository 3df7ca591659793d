"""Which of a network's weights learn, and how fast."""

import copy
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from training.lr_schedule import Pace
from training.networks.blitzmask import BlitzMask
from training.recipe import Recipe


def freeze_blocks(network: BlitzMask, count: int) -> None:
    """Keeps the weights of the leading `count` blocks of the backbone from learning."""
    for block in list(network.backbone.blocks)[:count]:
        block.requires_grad_(False)


def set_training(network: BlitzMask, frozen_blocks: int) -> None:
    """Training mode, but for the leading blocks that are frozen: their statistics stay as they are."""
    network.train()
    for block in list(network.backbone.blocks)[:frozen_blocks]:
        block.eval()


def make_optimizer(network: BlitzMask, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW, or SGD with momentum as the paper has it (BlitzMask, sec. 4.1)."""
    groups = parameter_groups(network, recipe)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.rate, momentum=recipe.momentum)
    return torch.optim.AdamW(groups, lr=recipe.rate)


def name_state(network: BlitzMask, optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Any]]:
    """What the optimiser remembers, by the names of the weights."""
    return {
        name: optimizer.state[weight]
        for name, weight in network.named_parameters()
        if weight in optimizer.state
    }


def restore_state(
    network: BlitzMask, optimizer: torch.optim.Optimizer, saved: Mapping[str, dict[str, Any]]
) -> None:
    """Gives the optimiser what `name_state` returned; weights that are not named there begin anew."""
    optimizer.state.clear()
    for name, weight in network.named_parameters():
        if name in saved:
            optimizer.state[weight] = {
                key: value.to(weight.device) if key != "step" and isinstance(value, torch.Tensor) else value
                for key, value in saved[name].items()
            }


def set_pace(optimizer: torch.optim.Optimizer, pace: Pace) -> None:
    """Rate and, where the optimiser has one, momentum of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = pace.rate * group["factor"]
        if "momentum" in group:
            group["momentum"] = pace.momentum


def parameter_groups(network: BlitzMask, recipe: Recipe) -> list[dict[str, Any]]:
    """Backbone and rest, each with its matrices, which decay, and its vectors, which do not."""
    groups = []
    for prefix, factor in (("backbone.", recipe.backbone_rate), ("", 1.0)):
        chosen = [
            parameter
            for name, parameter in network.named_parameters()
            if parameter.requires_grad and name.startswith("backbone.") == bool(prefix)
        ]
        for matrix in (True, False):
            weights = [parameter for parameter in chosen if (parameter.ndim > 1) == matrix]
            decay = recipe.weight_decay if matrix else 0.0
            groups.append({"params": weights, "factor": factor, "weight_decay": decay})
    return groups


Network = TypeVar("Network", bound=nn.Module)


class WeightAverage(Generic[Network]):
    """Exponential average of all weights and statistics; at first it forgets faster, to leave the start."""

    def __init__(self, network: Network, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self.network.eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: Network, step: int) -> None:
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        for mean, value in zip(
            self.network.state_dict().values(), network.state_dict().values(), strict=True
        ):
            if mean.is_floating_point():
                mean.lerp_(value, share)
            else:
                mean.copy_(value)
