"""The command `doctor`, which examines the machine and measures every model file on it; and the tables.

Only the command line imports this folder, so a change here changes no answer of the service.
"""
