"""The commands: each is a class of arguments whose `run` measures and returns what it found.

A new command is one more class here and one more field of `cli.LoadTest`.
"""
