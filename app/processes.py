"""`statuswire web` with several processes: each is a whole server with a follower and a hub of its own, and
all listen on one port."""

import sys

from msgspec.structs import replace

from app.config import Config
from app.embedded import StartError
from app.family import Family, Pace, child_environ, command

# Less than `up` grants its own parts.
_STOP_PATIENCE = 2.2


async def webs(config: Config) -> int:
    """The exit code, once a signal or a process that cannot work has ended all of them."""
    if sys.platform != "linux":
        raise StartError(
            "STATUSWIRE_PROCESSES must be 1 here: only Linux spreads the connections to one port evenly."
        )
    return await _Webs(config).run()


class _Webs(Family):
    def __init__(self, config: Config) -> None:
        super().__init__(Pace(), _STOP_PATIENCE)
        self._config = config

    async def live(self) -> int:
        for number in range(1, self._config.processes + 1):
            self._keep_one(number)
        return await self.first_refusal()

    def _keep_one(self, number: int) -> None:
        environ = child_environ(replace(self._config, supervised=True, process=number))
        name = f"web {number}"
        self.keep(name, lambda: self.process(name, command("web"), environ))
