"""Time for tests that wait: a clock that only sleep() moves, so that hours pass at once."""

import asyncio


class VirtualTime:
    """`now` is in seconds; `slept` lists the seconds of each sleep()."""

    def __init__(self, now=0.0):
        self.now = now
        self.slept = []

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)
