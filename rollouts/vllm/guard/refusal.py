"""How a server refuses a request: with an HTTP status and a sentence."""


class Refusal(Exception):
    """The request is refused for good: repeating it does not help."""

    def __init__(self, status: int, sentence: str) -> None:
        """Remember the HTTP status and the sentence that the sender gets."""
        super().__init__(sentence)
        self.status = status


class TryAgain(Refusal):
    """The request is refused now: it may be accepted later, or after policy and weights are sent again."""
