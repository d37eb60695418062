"""Other status pages become ours: each source has a module, and all of them bring a Harvest."""
