"""The first default model: MobileNetV2 on the federated everyday set.

torchrun --nproc-per-node 2 -m training train --data ../shared/data/everyday --recipe everyday \\
    --origin ../shared/data/backbones/mobilenet_v2_imagenet.npz --out run

Two AMD EPYC cores shared with much other work, 1.5 hours: 2,586 steps, 12.5 epochs, 7.7 pictures a second.
On val, over categories 1 to 16: mask AP 0.089, AP50 0.167, box AP 0.086 (models/blitzmask-mobilenetv2 1.0.0).
"""

from training.augment import Augmentation
from training.groundtruth import TargetRules
from training.recipe import Recipe, Stage
from training.watch import Examination

RECIPE = Recipe(
    neck_channels=96,
    hours=1.5,
    stages=(
        Stage(until=0.66, side=256),
        Stage(until=0.88, side=320),
        Stage(until=1.0, side=320, upsampling=3),
    ),
    batch_size=16,
    rate=1e-3,
    backbone_rate=0.5,
    frozen_blocks=4,
    rules=TargetRules(overlap=0.3),
    augmentation=Augmentation(scale=(0.5, 1.6), aspect=(0.8, 1.25)),
    examination=Examination(every=2),
)
