// SPDX-License-Identifier: Apache-2.0

import Base

extension Driver {
    /// The files of an image or a volume, one JSON line each; read from its blocks, without a mount.
    func files(of name: String) throws(Failure) -> TemporaryFile {
        throw Failure(.unavailable, "\(name): files cannot be listed yet")
    }
}
