"""Pascal VOC: its text formats and its reader, for the official data set and for any other set in its layout."""
