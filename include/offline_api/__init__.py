"""An offline Message Batches API: the endpoints, limits and refusals of the real one; no model is called."""
