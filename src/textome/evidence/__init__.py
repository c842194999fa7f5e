"""From relations of many documents to who treats, causes, binds or inhibits what, and the sentences that say so."""
