"""Pictures of the documents, drawn from a finished run: one scene through the methods, and one picture per term."""
