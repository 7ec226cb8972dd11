"""An HTTP server that speaks the OpenAI API: guarded decoding for every client that can be given a base URL.

A wire (`wires/`) reads the body of an endpoint into a `Question`, and writes the events of its answers; between the two
`answering` decodes, and knows of no wire. `server` holds what endpoints share, `endpoints/` where each is found.
"""
