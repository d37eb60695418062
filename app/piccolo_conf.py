"""What the `piccolo` command reads, and where Piccolo looks for an engine when it is given none: with
PICCOLO_CONF=app.piccolo_conf, `piccolo migrations check` and the rest work on the database of DATABASE_URL.
"""

import os

from piccolo.conf.apps import AppRegistry

from app.config import Config
from app.db.engine import Engine, engine_for

DB: Engine = engine_for(Config.read(os.environ))
APP_REGISTRY = AppRegistry(apps=["app.db.piccolo_app"])
