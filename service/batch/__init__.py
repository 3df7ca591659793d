"""The command `batch`: many pictures without a server, each exactly once, however often the job is killed.

`sources` finds the pictures, `run` computes them in the compute processes, `journal` keeps what is done,
`outputs` writes the result.
"""
