// SPDX-License-Identifier: Apache-2.0

import Containerd
import Daemon

/// An image that becomes known to containerd.
struct Registration {
    private let documents: ImageDocuments
    private let namespace: String
    private let address: String

    /// Asks the registry for the image's documents.
    init(
        _ reference: String, namespace: String, address: String, _ configuration: Configuration
    ) throws(Failure) {
        documents = try ImageDocuments.fetch(reference, configuration)
        (self.namespace, self.address) = (namespace, address)
    }

    func run() throws(Failure) {
        try ContainerdImages(namespace: namespace, address: address).register(documents)
    }

    var text: String { "\(documents.name): registered in containerd's namespace \(namespace)" }
}
