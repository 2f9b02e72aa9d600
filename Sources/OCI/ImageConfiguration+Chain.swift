// SPDX-License-Identifier: Apache-2.0

public import Base

extension ImageConfiguration {
    /// Names for the lowest layer, the two lowest, and so on up to all: the OCI image specification's ChainID.
    ///
    /// Errors: `.badDocument` and others for diff ids that are no digests.
    public func chainIDs() throws(OCIError) -> [Digest] {
        var chain: [Digest] = []
        for layer in try checkedDiffIDs() {
            guard let below = chain.last else {
                chain.append(layer)
                continue
            }
            chain.append(Digest(hashing: Array("\(below) \(layer)".utf8)))
        }
        return chain
    }
}
