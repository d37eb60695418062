"""One file for each family of commands. Each has `add`, which says what may be typed; what a command needs is
imported when it runs, so that `version` and a mistyped word answer at once."""
