"""`statuswire web` where no socket can leave ASGI: with TLS that ends in uvicorn, or behind protocols that
are not our doors, as on another server.

Run as a module it is that server; `Elsewhere` starts it. Nothing of ours is changed for it: uvicorn is given
other settings than `app.server` asks for.
"""

import functools
import http.client
import os
import ssl
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import trustme
import uvicorn

from tests.services import Web


class Elsewhere(Web):
    """With TLS if `tls`, else on uvicorn's own protocols. `tls` is also what a client needs to connect."""

    def __init__(self, redis_url: str, tls: bool, **environ: str) -> None:
        super().__init__(redis_url, **environ)
        self.tls: ssl.SSLContext | None = None
        self._certificate = self.folder / "certificate.pem"
        if tls:
            ca = trustme.CA()
            ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(self._certificate))
            self.tls = ssl.create_default_context()
            ca.configure_trust(self.tls)
            self.url = self.url.replace("http:", "https:")

    def launch(self, command: list[str], **kwargs: object) -> None:
        how = [str(self._certificate)] if self.tls else []
        super().launch([sys.executable, "-m", "tests.elsewhere", *how], **kwargs)

    def get(self, path: str) -> tuple[int, bytes]:
        if self.tls is None:
            return super().get(path)
        connecting = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=5.0, context=self.tls)
        with closing(connecting) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()


def _serve(certificate: Path | None) -> int:
    from app import server
    from app.config import Config

    asked_for = uvicorn.Config

    def settings(app: Any, **given: Any) -> uvicorn.Config:
        if certificate is None:
            return asked_for(app, **given | {"http": "httptools", "ws": "websockets-sansio"})
        return asked_for(app, **given, ssl_certfile=str(certificate))

    uvicorn.Config = functools.wraps(asked_for)(settings)  # type: ignore[misc,assignment]
    return server.web(Config.read(os.environ))


if __name__ == "__main__":
    sys.exit(_serve(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
