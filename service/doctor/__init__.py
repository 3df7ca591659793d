"""The command `doctor`: it examines the machine and times every model file on it.

Only the command line imports it.
"""
