"""Low-resolution fields to masks in the image frame: run lengths, polygons, label maps, overlays.

Every form of a mask comes from `Runs`, so a form may be added or changed without a look at the others.
"""
