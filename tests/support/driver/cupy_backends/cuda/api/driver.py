"""What is asked of the driver after the runtime has given a device: nothing here."""


class CUDADriverError(RuntimeError):
    pass
