"""What Piccolo must know to write and run our migrations."""

from piccolo.conf.apps import AppConfig

from app.db.engine import APP, MIGRATIONS
from app.db.tables import TABLES

APP_CONFIG = AppConfig(app_name=APP, migrations_folder_path=str(MIGRATIONS), table_classes=list(TABLES))
