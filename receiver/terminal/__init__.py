"""Shows traces in a terminal: the tree (tree.py) and the label of one span (label.py)."""
