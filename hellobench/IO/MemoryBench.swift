// SPDX-License-Identifier: Apache-2.0

/// What the daemon's memory comes to with a thousand clones of one image.
struct MemoryBench {
    let program: String
    /// The image's tar file.
    let tar: String
    let setting: Setting
    let json: JSONLines?

    private static let clones = 1000
    private static let limitMiB = 100.0

    /// One line of the JSON for each moment.
    private struct Row: Encodable {
        let clones: Int
        let residentMiB: Double
        let proportionalMiB: Double
        let limitMiB: Double
        let isMet: Bool
    }

    func run() throws -> String {
        Terminal.note("memory: \(Self.clones) clones")
        let daemon = try SlackerDaemon(
            program, directory: setting.directory + "/memory", setting.commands, setting.cleanup)
        try daemon.importTar(tar, as: "image")
        var table = Table(["daemon", "RSS MiB", "PSS MiB", "below", ""])
        try add(try row(daemon, clones: 0), to: &table)
        for index in 0..<Self.clones {
            try Interrupt.check()
            try daemon.clone("image", as: "clone-\(index)")
        }
        try add(try row(daemon, clones: Self.clones), to: &table)
        return "Memory of the daemon\n\n" + table.text
    }

    private func row(_ daemon: SlackerDaemon, clones: Int) throws -> Row {
        let memory = try daemon.memoryKiB()
        let resident = Double(memory.resident) / 1024
        return Row(
            clones: clones, residentMiB: resident, proportionalMiB: Double(memory.proportional) / 1024,
            limitMiB: Self.limitMiB, isMet: resident < Self.limitMiB)
    }

    private func add(_ row: Row, to table: inout Table) throws {
        try json?.write("memory", row)
        table.add([
            "\(row.clones) clones", Format.fixed(row.residentMiB, 1), Format.fixed(row.proportionalMiB, 1),
            Format.fixed(row.limitMiB, 0), row.isMet ? "met" : "MISSED",
        ])
    }
}
