"""The camera client: it sends the pictures of a source to a server, and writes the answers.

Everything here runs beside a server, never inside it, so a change here changes no answer of the service.
"""
