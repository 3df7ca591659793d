"""The Open Inference Protocol, version 2, free of any transport; `rest` and `rpc` both use it.

Each model of the catalog appears twice: NAME takes an encoded image and gives instances, as the native API
does; NAME.tensors takes pixels and gives the network's heads, for callers who decode them. Tensors and
parameters of the protocol may change here alone.
"""
