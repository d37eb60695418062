"""From the feed to the socket."""
