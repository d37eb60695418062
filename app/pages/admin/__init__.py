"""What operators do in a browser, at /admin: forms in their verbs, complete without a script."""
