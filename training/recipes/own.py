"""A model of one's own from some dozens to thousands of labelled pictures, on the shipped model's shoulders.

    python -m training train --data FOLDER

The network is the shipped model's, whose weights it starts from; labels of the same name keep what they know.
Judged by the val split after every epoch, it stops when it gets no better, and the best is what is exported.
"""

from pathlib import Path

from training.data.augment import Augmentation
from training.data.groundtruth import TargetRules
from training.early_stopping import Examination
from training.lr_schedule import Cosine
from training.recipe import Recipe, Stage

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
    origin=SHIPPED,
    examination=Examination(every=1, pictures=200, patience=12),
)
