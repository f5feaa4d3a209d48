"""The shapes world: scenes, questions in its language, and folders and pairs made from them."""
