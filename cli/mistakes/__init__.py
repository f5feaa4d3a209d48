"""What a user can mistype, and the sentence that says so."""
