"""The networks in plain PyTorch: uint8 pixels in, the heads of the artifact contract out.

A new backbone is a function in `backbones` and an entry in `blitzmask.BACKBONES`; nothing else changes.
"""
