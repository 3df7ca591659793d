"""One image to its instances: decode, letterbox, run the network, decode its heads, describe the masks.

A change here needs no look at transports, queues or processes: nothing in this folder knows them.
"""
