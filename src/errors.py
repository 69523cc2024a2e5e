"""The error for user mistakes: a bad file, a bad parameter, a full disk."""


class InputError(Exception):
    """An error that names the file, key or value and the remedy; a stage prints its message without a traceback."""
