"""The page on which a user tries the trained methods on photos."""
