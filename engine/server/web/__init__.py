"""The server's doors over HTTP: what a request is answered with, without a socket. Two fronts carry it: the ASGI
application (`app`, served by uvicorn) and the bare one of `websockets`, which can take no bodies.
"""
