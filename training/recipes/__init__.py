"""Ready recipes, each with its command, and with hardware, hours and result if it was run.

A recipe depends only on `training.recipe`; a new one is a new module with a constant `RECIPE`.
"""
