"""What may break and who mends it: the rows of docs/reference/healing.md, and the page."""
