"""CSR + D2S with ResNet-50 on COCO (Vo, Tran, Nguyen and Jo, sec. IV).

    torchrun --nproc-per-node 2 -m training train --data COCO --recipe csr_d2s --init RESNET50.pth \\
        --out runs/csr

RESNET50.pth is torchvision's checkpoint. The paper trains 12 epochs by AdamW at 1e-4 with weight decay 0.05,
divides the rate by 10 after epochs 8 and 11, has batches of 4 on two GPUs, and reports mask AP 35.4. It gives
no input size; 800 pixels is the usual shorter side of that schedule. We have not run it yet.
"""

from training.data.augment import Augmentation
from training.lr_schedule import Steps
from training.recipe import Recipe, Stage
from training.validation import Validation

RECIPE = Recipe(
    network="csr",
    backbone="resnet50",
    neck_channels=256,
    epochs=12,
    stages=(Stage(until=1.0, side=800),),
    batch_size=4,
    optimizer="adamw",
    schedule=Steps(milestones=(8 / 12, 11 / 12), warm_up=0.01),
    rate=1e-4,
    backbone_rate=1.0,
    weight_decay=0.05,
    gradient_limit=1.0,
    average_decay=0.999,
    workers=8,
    augmentation=Augmentation(scale=(0.8, 1.25), aspect=(0.8, 1.25)),
    validation=Validation(every=1, pictures=1000),
)
