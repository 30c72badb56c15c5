"""Where a pool's replicas should run: accelerator classes, room per class, the split over them."""
