"""Train any network by gradient descent: loop, settings, schedule, optimizers, batches. Nothing is about vision."""
