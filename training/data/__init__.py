"""From COCO annotation files to batches of pictures with ground truth.

The rest of `training` uses `datasets`, `training_set` and `batch`; the other modules may change freely.
"""
