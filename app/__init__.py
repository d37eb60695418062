"""The server: it follows the feed, records what happened and pushes it to every screen."""
