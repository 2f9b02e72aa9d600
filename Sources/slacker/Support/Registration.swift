// SPDX-License-Identifier: Apache-2.0

import Daemon

#if Containerd
    import Containerd
#endif

/// An image that becomes known to containerd.
struct Registration {
    private let reference: String
    private let namespace: String
    private let address: String

    /// Errors: when no containerd is there, so that nothing is pulled for it.
    init(_ reference: String, namespace: String, address: String) throws(Failure) {
        #if Containerd
            try ContainerdImages.check(address)
        #else
            throw Failure(.unavailable, "containerd: this program was built without the trait Containerd")
        #endif
        (self.reference, self.namespace, self.address) = (reference, namespace, address)
    }

    /// Asks the registry for the image's documents.
    func documents(_ configuration: Configuration) throws(Failure) -> ImageDocuments {
        try ImageDocuments.fetch(reference, configuration)
    }

    func run(_ documents: ImageDocuments) throws(Failure) {
        #if Containerd
            try ContainerdImages(namespace: namespace, address: address).register(documents)
        #endif
    }

    var text: String { "\(reference): registered in containerd's namespace \(namespace)" }
}
