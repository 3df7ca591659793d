"""BlitzMask, YOLACT and mobileYOLACT on MobileNetV2 at 320x320, each with the same CPU time.

All begin with the same ImageNet weights.

    for name in RECIPE YOLACT MOBILE_YOLACT; do for seed in 0 1; do
        OMP_NUM_THREADS=1 python -m training train --data ../shared/data/everyday --runtimes "" \\
            --recipe equal_time:$name --set seed=$seed --out runs/equal-time/$name-$seed
    done; done

The clock is CPU time, so that other programs on the machine do not take from one network what they leave to
another. Each report.md has the AP of all pictures of val; RESULTS.md has our figures. A few minutes compare
the beginnings of a training, not its ends.
"""

from dataclasses import replace
from pathlib import Path

from training.data.augment import Augmentation
from training.lr_schedule import Cosine
from training.recipe import Recipe, Stage

RECIPE = Recipe(
    backbone="mobilenet_v2",
    neck_channels=96,
    hours=1 / 6,
    clock="cpu",
    stages=(Stage(until=1.0, side=320),),
    batch_size=8,
    optimizer="adamw",
    schedule=Cosine(warm_up=0.05),
    rate=1e-3,
    backbone_rate=0.3,
    frozen_blocks=3,
    average_decay=0.98,
    workers=0,
    augmentation=Augmentation(scale=(0.6, 1.6), aspect=(0.8, 1.25)),
    init_weights=Path("../shared/data/backbones/mobilenet_v2_imagenet.npz"),
)
YOLACT = replace(RECIPE, network="yolact", neck_channels=256)
MOBILE_YOLACT = replace(RECIPE, network="mobile_yolact", neck_channels=256)
