"""The nodes of localkube: pods become real processes under bubblewrap, each with its own loopback address."""

from localkube.kubelet.images import Catalogue, Image, ImageRule
from localkube.kubelet.kubelet import Kubelet, NodeSettings
from localkube.kubelet.nodes import Nodes

__all__ = ["Catalogue", "Image", "ImageRule", "Kubelet", "NodeSettings", "Nodes"]
