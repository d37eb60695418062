"""The only room that knows Piccolo, SQLite and Postgres: domain structs in, domain structs out."""
