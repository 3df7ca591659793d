"""The smaller model's first version: the default one's network of then, made used to canvases of 192.

torchrun --nproc-per-node 2 -m training train --data everyday-320 --recipe everyday_192 \\
    --origin run-small/checkpoint.pt --out run-192
"""

from dataclasses import replace

from training.recipe import Stage
from training.recipes.everyday_small import RECIPE as EVERYDAY_SMALL

RECIPE = replace(
    EVERYDAY_SMALL,
    hours=0.15,
    stages=(Stage(until=0.6, side=192), Stage(until=1.0, side=192, upsampling=3)),
    rate=4e-4,
    examination=None,
    seed=400,
)
