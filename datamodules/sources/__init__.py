"""Sources of rows: folders of prompts and pairs, POPE, MMPR, prompt pools."""
