"""COCO's average precision through the service's own code, also for incompletely labelled data sets.

`accuracy` and `matching` do not need torch; `loadtest` uses them too.
"""
