// SPDX-License-Identifier: Apache-2.0

import Distribution
import Testing

@Suite struct MediaTypeTests {
    @Test func typesOfOneFamilyDiffer() {
        let types = [BlockImage.artifactType, BlockImage.mapMediaType, BlockImage.packMediaType]
        #expect(Set(types).count == types.count)
    }
}
