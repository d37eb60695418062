"""What programs ask of us over HTTP."""
