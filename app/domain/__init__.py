"""What the product is about, as pure values and functions: no I/O and no clock. Shared by server and
workers."""
