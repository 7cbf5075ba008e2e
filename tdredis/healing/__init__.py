"""What may break and who mends it: the 25 rows of docs/reference/healing.md, and the page."""
