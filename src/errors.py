"""What is raised for something of the user's that is wrong: a file, a parameter, a machine without room."""


class InputError(Exception):
    """One sentence that names the file, key or value and the remedy; a stage prints it without a traceback."""
