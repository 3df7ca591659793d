"""Answers in the forms that other programs expect.

`files` writes the formats of labelling tools. `label_studio`, `cvat` and `deepstack` write what clients of
these servers read; `service.rest.dialects` has their endpoints. `outlines` gives each object one outline.

The processes that compute import these modules to write answers, so they import no part of the transports.
"""
