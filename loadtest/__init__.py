"""The load test: how much a server answers, how fast, and how near that is to what the machine can do."""
