"""The errors that end with one sentence: mistakes of the user (a bad file, a full disk), and the loss of a process."""


class InputError(Exception):
    """An error that names the file, key or value and the remedy; a stage prints its message without a traceback."""


class LostProcess(InputError):
    """An error of a process that trains together with others, one of which has ended: its cause is in that process."""
