"""Config as code: the text of `statuswire.yaml` becomes a Catalog, or a list of all that is wrong with it,
each with its line and with what would be right."""
