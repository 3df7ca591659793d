"""A camera client: pictures from a source to a server, its answers to files, a video or MQTT.

`Reel` reads the source into one waiting place, `Link` keeps a stream open to the server and sends from
there, `run_camera` puts the two together and writes what comes back. Either end may break and comes back
by itself; identities go on counting where they were.
"""
