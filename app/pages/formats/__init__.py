"""What a page says, in the formats that other programs read already."""
