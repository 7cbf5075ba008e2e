"""What may break and who repairs it: the rows of docs/reference/healing.md, and the page."""
