"""`statuswire heartbeats`: to which address the job behind each push monitor speaks. Who may run it may read
the database, and so knows the tokens anyway.
"""

from app.config import Config
from app.db.catalog import read_catalog
from app.db.engine import connect
from app.db.heartbeats import heartbeat_secret
from app.domain.heartbeat import KIND
from app.security.heartbeats import token_of


async def addresses(config: Config) -> list[str]:
    """Lines. Raises DatabaseDown."""
    database = await connect(config)
    try:
        secret = await heartbeat_secret(database)
        async with database.reading() as transaction:
            catalog = await read_catalog(transaction)
    finally:
        await database.close()
    base = (catalog.page.url or config.url).rstrip("/")
    keys = [monitor.key for monitor in catalog.monitors() if monitor.kind == KIND]
    if not keys:
        return ["No monitor of the kind push is known: start the server with a config file that has one."]
    return [f"{key}  {base}/v1/heartbeats/{token_of(secret, key)}" for key in keys]
