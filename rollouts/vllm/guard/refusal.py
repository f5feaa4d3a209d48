"""How a server says no: a status and a sentence."""


class Refusal(Exception):
    """A request that is never granted, however often it comes."""

    def __init__(self, status: int, sentence: str) -> None:
        """Remember the HTTP status and the sentence that the sender gets."""
        super().__init__(sentence)
        self.status = status


class TryAgain(Refusal):
    """A request that may be granted later, or when all that belongs to it is sent again."""
