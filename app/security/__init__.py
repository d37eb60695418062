"""What guards the borders: so far the way out. The one gate for outgoing connections is egress.py."""
