"""What leaves, when, and how it looks: item spans, session spans, parents, rendering."""
