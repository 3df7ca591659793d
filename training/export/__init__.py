"""From a trained network to a model folder: ONNX and TFLite files in fp32, fp16 and INT8, checked and
measured.

Nothing in `data` or in the loop depends on this folder.
"""
