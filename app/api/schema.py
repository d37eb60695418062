"""The JSON Schema of statuswire.yaml, at an address that an editor can be given."""

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from app.statusfile.schema import schema_text


def routes() -> list[HTTPRouteHandler]:
    text = schema_text().encode()

    @get("/statuswire.schema.json", opt={"scope": "public"}, sync_to_thread=False)
    def schema() -> Response[bytes]:
        headers = {
            "content-type": "application/schema+json",
            "cache-control": "public, max-age=3600",
            # Editors that run in a browser may read it too: there is nothing of this installation in it.
            "access-control-allow-origin": "*",
            "cross-origin-resource-policy": "cross-origin",
        }
        return Response(text, headers=headers)

    return [schema]
