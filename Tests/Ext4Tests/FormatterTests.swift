// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Ext4
import Testing

struct FormatterTests {
    @Test func anEmptyTreeIsCleanAndHasNoLostAndFound() throws {
        let workspace = try Workspace()
        let table = ChunkTable()
        let map = try table.format(FileTree())
        #expect(map.sizeBytes == 16 << 30)
        try table.write(map, to: workspace.image)
        try expectClean(workspace.image)
        try workspace.mounted { path in
            let names = try Directories.names(in: path)
            #expect(names.isEmpty)
        }
        try expectClean(workspace.image)
    }
}
