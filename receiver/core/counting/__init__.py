"""What metrics counted: series, calls beyond the known ones, usage totals."""
