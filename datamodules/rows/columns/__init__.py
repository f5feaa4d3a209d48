"""The column map: which columns of a user's file mean what, and how their cells become those of a prompt."""
