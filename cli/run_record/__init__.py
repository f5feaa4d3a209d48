"""A folder of its own for every run, named after what it is, with a record of what was run and what came out."""
