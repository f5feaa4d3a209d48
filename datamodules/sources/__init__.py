"""Where rows come from: folders of prompts and pairs, POPE, MMPR, prompt pools."""
