"""Which of a network's weights learn, and how fast."""

from collections.abc import Mapping
from typing import Any

import torch

from training.course import Pace
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
