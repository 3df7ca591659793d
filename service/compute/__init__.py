"""Slots that compute: one process each, or threads of this process behind the same Protocol.

A front process holds every connection and decides which work begins when. A work is a small picklable object;
it travels to a compute process over a socket pair, and its result comes back rendered. Compute processes are
forked from a template that has one thread, no keys and no connections, so a new one is there in milliseconds.
Anything here may be changed without looking elsewhere, except `Task`, `Turn` and `Executor`.
"""
