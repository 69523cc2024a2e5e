"""Pascal VOC: the text formats and the reader, for the data set of that name and for sets of anyone's in its layout."""
