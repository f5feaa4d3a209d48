"""The column map: the meaning of the columns in a user's file, and the conversion of their cells."""
