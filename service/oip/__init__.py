"""The Open Inference Protocol, version 2, free of any transport.

Every model of the catalog is shown twice: NAME takes an encoded image and gives instances, as the native
interface does; NAME.tensors takes pixels and gives the network's heads, for those who decode themselves.
"""
