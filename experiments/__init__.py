"""The runs behind the tables and figures of docs/experiments.md, one command each."""
