"""The engine for GPUs: its plan, its kernels, and the seam behind which the device lies."""
