// SPDX-License-Identifier: Apache-2.0

public import Base

/// A plain tar of a few files, the same bytes for the same files: names in the given order, no owner, no time.
public enum PlainArchive {
    public struct Member {
        public let name: String
        public let file: File

        public init(name: String, file: File) {
            self.name = name
            self.file = file
        }
    }

    private static let pieceBytes = 1 << 20

    /// Writes the archive to `target`, from its start.
    /// - Parameters:
    ///   - progress: bytes written since the last call.
    ///   - isCancelled: asked for each MiB; the archive then throws `.cancelled`.
    public static func write(
        _ members: [Member], to target: File, progress: (UInt64) -> Void, isCancelled: () -> Bool
    ) throws(FlattenError) {
        var position: UInt64 = 0
        do throws(SystemError) {
            for member in members {
                var header = TarHeader(name: Array(member.name.utf8), type: TarHeader.file, mode: 0o644)
                header.sizeBytes = try member.file.size()
                try put(header.encoded, target, &position)
                var offset: UInt64 = 0
                while offset < header.sizeBytes {
                    if isCancelled() { break }
                    let bytes = try member.file.read(count: pieceBytes, at: offset)
                    if bytes.isEmpty { break }
                    try put(bytes, target, &position)
                    offset += UInt64(bytes.count)
                    progress(UInt64(bytes.count))
                }
                try put(
                    TarHeader.padding(Int(header.sizeBytes % UInt64(TarHeader.blockBytes))), target, &position
                )
            }
            try put([UInt8](repeating: 0, count: 2 * TarHeader.blockBytes), target, &position)
        } catch {
            throw .system(error)
        }
        if isCancelled() { throw .cancelled }
    }

    private static func put(_ bytes: [UInt8], _ target: File, _ position: inout UInt64) throws(SystemError) {
        try target.write(bytes, at: position)
        position += UInt64(bytes.count)
    }
}
