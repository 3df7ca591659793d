"""Checkpoints: written atomically, read without running code from the file."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from service.inference.card import Label
from training.networks.families import Network, build_network, read_architecture

OLD_NAMES = {"course": "schedule", "retreat": "rollback", "watch": "early_stopping"}  # before version 0.3


class CheckpointNotWritten(OSError):
    """The checkpoint cannot be written, for example because the disk is full; the last one is still there."""


class CheckpointRefused(ValueError):
    """The file is not a checkpoint, or it is the checkpoint of a different run."""


def write_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Replaces the file in one step, so that a crash or a full disk never damages the last checkpoint.

    Raises CheckpointNotWritten.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    try:
        with draft.open("wb") as stream:
            torch.save(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError if the disk is full
        raise CheckpointNotWritten(
            f"{path} cannot be written: {error}. The last checkpoint is unchanged; the same command "
            "continues from it"
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Makes the new name survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_checkpoint(path: Path, *, parts: Collection[str] = ()) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU; only tensors and plain values are unpickled.

    Raises CheckpointRefused if the file is not a checkpoint, or has not all of `parts`.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise many kinds
        raise CheckpointRefused(f"{path} is not the checkpoint.pt of a run: {error!r:.80}") from error
    if not isinstance(content, dict) or not content.keys() >= set(parts):
        raise CheckpointRefused(f"{path} is not the checkpoint.pt of a run: it has no {', '.join(parts)}")
    return {OLD_NAMES.get(name, name): value for name, value in content.items()}


def load_network(checkpoint: Path) -> tuple[Network, tuple[Label, ...]]:
    """The network of a checkpoint or snapshot in evaluation mode, and its labels.

    It has the averaged weights: the best ones of a run with early stopping, else the last ones.
    Raises CheckpointRefused.
    """
    content = read_checkpoint(checkpoint, parts=("architecture", "labels", "average"))
    try:
        network = build_network(read_architecture(content["architecture"]))
    except (TypeError, ValueError) as error:
        raise CheckpointRefused(f"{checkpoint} is of a network that this version lacks: {error}") from error
    network.load_state_dict(content.get("best") or content["average"])
    return network.eval(), tuple(Label(**label) for label in content["labels"])
