"""Checkpoints that are whole or not there."""

import os
from pathlib import Path
from typing import Any

import torch


class CheckpointNotWritten(OSError):
    """The disk is full, or not to be written to; the last good checkpoint is still there."""


def write_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Replaces the file in one step, so that neither a crash nor a full disk costs the last good one.

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
        _settle(path.parent)
    except (OSError, RuntimeError) as error:  # torch's writer hides a full disk in a RuntimeError
        reason = f"{path} could not be written: {error}"
        raise CheckpointNotWritten(
            f"{reason}; the last one is as it was, and the run goes on from it"
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def _settle(folder: Path) -> None:
    """After this not even a power cut takes the new name back."""
    place = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What was written, on the CPU; only tensors and plain values are unpickled."""
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content
