"""One image to its instances: decode, letterbox, run the network, decode its heads, describe the masks.

Nothing here knows a transport or a queue; change it without looking at the rest of the service.
"""
