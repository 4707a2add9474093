"""HDF5 in the layout of NeXus: a sink whose file viewers follow while it grows.

h5py is imported with the first file, in the thread that writes.
"""

from orchestrator.data.hdf5.killed import is_whole_file, mend
from orchestrator.data.hdf5.sink import Hdf5Sink

__all__ = ["Hdf5Sink", "is_whole_file", "mend"]
