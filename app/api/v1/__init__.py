"""Our REST API under /v1: a resource is one short file here, and what they share is `resource`."""
