"""HTML for people, drawn by the server and kept true by `app/static`."""
