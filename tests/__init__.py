"""The tests. Folders mirror those of receiver/; tests/support holds what they share."""
