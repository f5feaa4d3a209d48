"""The shapes world: scenes, questions in its language, folders and pairs drawn from them."""
