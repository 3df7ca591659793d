"""mobileYOLACT on COCO (Lee, Lee and Ko, ICTC 2021), with YOLACT's schedule.

    python -m training train --data COCO --recipe mobile_yolact --out runs/mobile-yolact \\
        --init ../shared/data/backbones/mobilenet_v2_imagenet.npz

The abstract, which alone is public, gives 320 x 320 pixels, AP50 23.0 and 21 frames a second on a Galaxy S20,
but no schedule. This is YOLACT's, see `yolact_r50`, with a larger batch, as the network is small. We have not
run it yet.
"""

from training.data.augment import Augmentation
from training.lr_schedule import Steps
from training.recipe import Recipe, Stage
from training.validation import Validation

RECIPE = Recipe(
    network="mobile_yolact",
    backbone="mobilenet_v2",
    neck_channels=256,
    epochs=54,
    stages=(Stage(until=1.0, side=320),),
    batch_size=32,
    optimizer="sgd",
    schedule=Steps(milestones=(0.35, 0.75, 0.875, 0.9375), warm_up=0.01),
    rate=4e-3,
    momentum=0.9,
    backbone_rate=1.0,
    weight_decay=5e-4,
    average_decay=0.999,
    workers=8,
    augmentation=Augmentation(scale=(0.25, 1.6), aspect=(0.5, 2.0)),
    validation=Validation(every=5, pictures=1000),
)
