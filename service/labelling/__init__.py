"""Answers as suggestions for people who label pictures.

`files` writes the formats of labelling tools. `label_studio` and `cvat` convert what those two tools ask for,
and `outlines` gives each object the one outline that they expect. `service.rest.labelling` has the endpoints.
"""
