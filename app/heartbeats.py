"""`statuswire heartbeats`: to which address the job behind each push monitor speaks. Who may run it has the
database and the secret key, and so knows the tokens anyway.
"""

from app.config import Config
from app.db.catalog import read_catalog
from app.db.engine import connect
from app.domain.heartbeat import KIND
from app.security.heartbeats import read_secret, token_of
from app.security.secrets import BadKey, Unreadable, read_secrets


async def addresses(config: Config) -> tuple[list[str], str]:
    """Lines, and a sentence if nobody has said where the server is found. Raises DatabaseDown, or BadKey."""
    database = await connect(config)
    try:
        secret = await read_secret(database, read_secrets(config))
        async with database.reading() as transaction:
            catalog = await read_catalog(transaction)
    except Unreadable:
        raise BadKey(
            "The secret of the heartbeats was sealed with another key: give the server's "
            "STATUSWIRE_SECRET_KEY, or its data folder by STATUSWIRE_DATA."
        ) from None
    finally:
        await database.close()
    keys = [monitor.key for monitor in catalog.monitors() if monitor.kind == KIND]
    if not keys:
        none = "No monitor of the kind push is known: start the server with a config file that has one."
        return [none], ""
    base = (catalog.page.url or config.url).rstrip("/")
    guess = f"the page has no `url`, so these are of a server at {base}: give it one, or --host and --port"
    lines = [f"{key}  {base}/v1/heartbeats/{token_of(secret, key)}" for key in keys]
    return lines, "" if catalog.page.url else guess
