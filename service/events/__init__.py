"""Events instead of frames: zones, lines, and the objects that enter, leave and cross them.

`scene` describes the places to watch, `watch` turns tracked answers into events, and `report` is the result.
All of it is data in, data out: the streams of the server and the camera program run the same functions.
"""
