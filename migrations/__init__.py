"""One file for each step of the tables, run in the order of their names, the same on SQLite and Postgres.

A step is never changed after a release. Raw SQL goes into a file of its own: within one, Piccolo runs it
before it makes tables. On SQLite, Piccolo can neither add a table constraint nor change a column's type,
default or nullness: make a new table and copy.
"""
