"""Which child session belongs to which task call, and which report to which call, where no record states it."""
