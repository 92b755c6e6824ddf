"""Built traces as text for a terminal: the tree, and the label of one span."""
