"""The kinds of monitor there are: one module each, named after the kind, with its Words. The probe
that goes by them is the module of the same name in `workers/probes/`."""
