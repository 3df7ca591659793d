"""Models of other tools as model folders: `blitzmask import FILE`.

It reads a graph's shapes and notes, recognises the family, puts the conversion from bytes in front, and
writes a folder with card, labels, golden values and README. Serving needs nothing of this package.
"""
