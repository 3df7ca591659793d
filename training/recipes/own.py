"""A model for your own data, from some dozens to some thousands of labelled pictures.

    python -m training train --data FOLDER

It starts from the shipped model; labels with the same name keep their weights. It evaluates the network on
the val split after every epoch, stops when it no longer improves, and keeps the best weights.
"""

from pathlib import Path

from training.data.augment import Augmentation
from training.data.groundtruth import TargetRules
from training.lr_schedule import Cosine
from training.recipe import Recipe, Stage
from training.validation import Validation

SHIPPED = Path(__file__).parents[2] / "models" / "blitzmask-mobilenetv2"

RECIPE = Recipe(
    neck_channels=96,
    epochs=60,
    stages=(Stage(until=1.0, side=320, upsampling=3),),
    batch_size=8,
    schedule=Cosine(warm_up=0.05),
    rate=1e-3,
    backbone_rate=0.3,
    frozen_blocks=3,
    average_decay=0.98,
    rules=TargetRules(overlap=0.3),
    augmentation=Augmentation(scale=(0.6, 1.6), aspect=(0.8, 1.25)),
    init_weights=SHIPPED,
    validation=Validation(every=1, pictures=200, patience=12),
)
