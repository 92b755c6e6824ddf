"""The core: what events say (taking, facts), how they hang together (links, segments), what leaves when (builder,
render). A function of its inputs: no I/O, clock, randomness, logging, environment or protobuf in this package.
"""
