"""Benchmarks. Each prints a table for people and, as the last line of stdout, one JSON object for
programs."""
