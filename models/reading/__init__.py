"""From prompts to hidden states: tokens, image features, positions, attention within a group."""
