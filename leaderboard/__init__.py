"""From votes to standings: reads votes from anywhere, rates models, says how sure it is. Knows nothing of the arena."""
