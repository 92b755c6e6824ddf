"""A server that accepts connections and never responds, for tests of timeouts."""

import asyncio
from contextlib import asynccontextmanager


@asynccontextmanager
async def silent_server():
    """Yields its port."""
    writers = []
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in writers:
        writer.transport.abort()
    await asyncio.sleep(0)
