// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Mounts

@Suite struct MountTableTests {
    private static let text = """
        22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
        30 22 0:26 / /run/slacker/fs rw,nosuid - fuse.slacker slacker rw,user_id=0,group_id=0
        31 22 7:3 / /mnt/with\\040space\\134and\\011tab ro,relatime shared:2 master:1 - ext4 /dev/loop3 ro,norecovery
        32 22 7:3 /sub /mnt/bind rw - ext4 /dev/loop3 ro
        33 31 0:40 / /mnt/with\\040space\\134and\\011tab/proc rw - proc proc
        nonsense
        34 22 7:4 / /mnt/bind rw - ext4 /dev/loop4 rw
        35 22 7:4
        """

    @Test func linesAreParsed() {
        let table = MountTable(parsing: Array(Self.text.utf8))
        #expect(table.entries.map(\.id) == [22, 30, 31, 32, 33, 34])
        let entry = table.entries[2]
        #expect(entry.directory == "/mnt/with space\\and\ttab" && entry.device == "7:3" && entry.isReadOnly)
        #expect(entry.fileSystem == "ext4" && entry.source == "/dev/loop3" && entry.parent == 22)
        #expect(entry.superOptions == ["ro", "norecovery"] && table.entries[3].root == "/sub")
    }

    @Test func theLastMountOfADirectoryCounts() {
        let table = MountTable(parsing: Array(Self.text.utf8))
        #expect(table.entry(at: "/mnt/bind")?.source == "/dev/loop4")
        #expect(table.entry(at: "/mnt") == nil)
        #expect(table.entries(under: "/mnt").map(\.id) == [34, 33, 32, 31])
        #expect(table.entries(under: "/mnt/bin").isEmpty)
        #expect(table.entries(ofDevice: "/dev/loop3").map(\.id) == [31, 32])
    }

    @Test func theOwnTableHasARoot() throws {
        #expect(try MountTable.current().entry(at: "/") != nil)
    }
}
