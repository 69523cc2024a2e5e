"""Region proposal methods, one file each: `propose(image, ...) -> boxes [N, 4]`."""
