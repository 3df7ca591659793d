"""The models blitzmask-mobilenetv2 and blitzmask-mobilenetv2-192: one long run on two data sets.

    for set in everyday everyday-more; do
        python -m training shrink $set-320 --data ../shared/data/$set --side 320
    done
    OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 -m training train --data everyday-320 \\
        --data everyday-more-320 --recipe default_model --out run-default \\
        --init ../shared/data/backbones/mobilenet_v2_imagenet.npz

80 epochs of 13,399 pictures are 1.1 million pictures, 45 % of them at 320 px. Half of the pictures shown have
masks. The length can be changed during the run, see `lr_schedule.Trapezoid`. `release` makes both models from
the same checkpoint, with `--side 320` and `--side 192`.
"""

from training.data.augment import Augmentation, CopyPaste
from training.data.groundtruth import TargetRules
from training.losses import LossWeights
from training.lr_schedule import Trapezoid
from training.recipe import Recipe, Stage

RECIPE = Recipe(
    backbone="mobilenet_v2",
    neck_channels=96,
    epochs=80,
    stages=(
        Stage(until=0.55, side=160, mask_cells=5),
        Stage(until=0.88, side=320, mask_cells=3),
        Stage(until=1.0, side=320, upsampling=3, mask_cells=1),
    ),
    batch_size=32,
    optimizer="adamw",
    schedule=Trapezoid(warm_up=0.02, decay=0.25),
    rate=1e-3,
    backbone_rate=0.5,
    weight_decay=0.05,
    gradient_limit=10.0,
    frozen_blocks=3,
    repeat_threshold=0.02,
    mask_share=0.5,
    average_decay=0.9995,
    bfloat16=True,
    workers=1,
    seed=2000,
    rules=TargetRules(centre="mass", overlap=0.5, dense=0.54, enclosed=True),
    augmentation=Augmentation(
        flip=True,
        scale=(0.5, 1.6),
        aspect=(0.8, 1.25),
        brightness=0.15,
        contrast=0.2,
        saturation=0.3,
        hue=6.0,
        paste=CopyPaste(share=0.1, most=3, scale=(0.5, 1.5)),
    ),
    losses=LossWeights(eps1=0.0, eps2=-0.05, l1=0.05, iou=1.5, cross_entropy=0.5, dice=2.5, per_batch=True),
    snapshot_minutes=30,
)
