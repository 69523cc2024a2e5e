"""Code that all classifiers share: parameters, inputs, batches, loss, training, running."""
