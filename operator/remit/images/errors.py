"""What can go wrong while an image is built. Messages name what to do."""


class ImageError(Exception):
    """An image could not be built; `reason` is one word for tests and scripts."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
